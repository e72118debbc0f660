local fake_set = require "spec.support.fake_set"
local heritage = require "mw.supervisor.heritage"

describe("A set of workers that goes on where another has been", function()
  it("has its workers, in their states, and starts none", function()
    local before = fake_set.ready { workers = 3 }
    before:worker(2):exit(1)
    local shape = before:shape()
    local fake = fake_set.succeed(before, { workers = 3 })
    assert.equal("1:1:ready 4:2:starting 3:3:ready", shape)
    assert.equal(shape, fake:shape())
    assert.equal(4, fake:starts())
    assert.equal("", fake:told())
    assert.equal(1, fake.set.restarts)
    assert.equal(3, fake.backend.adopted.count)
  end)

  it("replaces one that ends", function()
    local fake = fake_set.succeed(fake_set.ready())
    fake:worker(1):exit(nil, "SIGKILL")
    assert.equal("3:1:starting 2:2:ready", fake:shape())
    assert.equal("exit:1 restart:1", fake:told())
  end)

  it("limits the time of a start by what is left of it", function()
    local before = fake_set.start { workers = 1 }
    before.clock:advance(6000)
    local fake = fake_set.succeed(before, { workers = 1 })
    fake.clock:advance(3999)
    assert.equal("1:1:starting", fake:shape())
    fake.clock:advance(1)
    fake.backend:answer_traceback(fake:worker(1))
    assert.is_true(fake:worker(1).killed)
  end)

  it("limits the time of a stop by what is left of it", function()
    local before = fake_set.ready()
    before.set.wanted = 1
    before.set:reconcile()
    before.clock:advance(3000)
    local fake = fake_set.succeed(before, { workers = 1 })
    assert.equal("1:1:ready 2:2:stopping", fake:shape())
    fake.clock:advance(1999)
    assert.is_nil(fake:worker(2).killed)
    fake.clock:advance(1)
    assert.is_true(fake:worker(2).killed)
  end)

  it("remembers failures, and waits as long as the other would have", function()
    local before = fake_set.ready { workers = 1 }
    before:worker(1):exit(1)
    before:worker(2):exit(1)
    before.clock:advance(60)
    local fake = fake_set.succeed(before, { workers = 1 })
    fake.clock:advance(39)
    assert.equal("", fake:shape())
    fake.clock:advance(1)
    assert.equal("3:1:starting", fake:shape())
    fake:worker(3):exit(1)
    assert.equal(200, fake.events[#fake.events][3])
  end)

  it("replaces one whose replacement had begun", function()
    local before = fake_set.ready { workers = 1, max_requests = 100 }
    before:worker(1).report("beat", { requests = 100 })
    assert.equal("1:1:ready 2:1:starting", before:shape())
    local fake = fake_set.succeed(before, { workers = 1, max_requests = 100 })
    fake:worker(2):become_ready()
    assert.equal("1:1:stopping 2:1:ready", fake:shape())
    assert.is_true(fake:worker(1).asked)
  end)

  it("keeps the count that it was scaled to, unless its settings have changed", function()
    local before = fake_set.ready()
    before.set.wanted = 3
    before.set:reconcile()
    assert.equal(3, fake_set.succeed(before).set.wanted)
    assert.equal(5, fake_set.succeed(before, { workers = 5 }).set.wanted)
  end)

  it("reloads as often as the other was still to", function()
    local before = fake_set.ready { workers = 1 }
    before.set.is_handing_on = true
    require("mw.supervisor.operations").reload(before.set, function() end)
    assert.is_nil(before.set.reload)
    local fake = fake_set.succeed(before, { workers = 1 })
    assert.equal("1:1:ready 2:1:starting", fake:shape())
    fake:worker(2):become_ready()
    fake:worker(1):exit(0)
    assert.equal("2:1:ready", fake:shape())
    assert.equal(2, fake.set.generation)
    assert.is_nil(fake.set.reload)
  end)

  it("reloads to a generation that none has had", function()
    local before = fake_set.ready { workers = 1 }
    before.set.last_generation = 7
    local fake = fake_set.succeed(before, { workers = 1 })
    require("mw.supervisor.operations").reload(fake.set, function() end)
    assert.equal(8, fake.set.reload.generation)
  end)
end)

describe("A set of workers", function()
  it("that stops is not calm", function()
    local fake = fake_set.ready()
    require("mw.supervisor.operations").stop(fake.set, function() end)
    assert.is_false(heritage.is_calm(fake.set))
  end)

  it("does nothing while it gathers workers of before, and is not calm", function()
    local fake = fake_set.ready()
    fake.set.is_gathering = true
    fake:worker(1):exit(1)
    assert.is_false(heritage.is_calm(fake.set))
    assert.equal("2:2:ready", fake:shape())
    fake.set.is_gathering = nil
    fake.set:reconcile()
    assert.equal("3:1:starting 2:2:ready", fake:shape())
  end)

  it("is calm but for a reload, and for one that could not be started", function()
    local fake = fake_set.ready()
    assert.is_true(heritage.is_calm(fake.set))
    fake:worker(1):exit(1)
    assert.is_true(heritage.is_calm(fake.set))
    local starting = fake.set:list()[1]
    starting.pid = nil
    assert.is_false(heritage.is_calm(fake.set))
    starting.pid = 1003
    require("mw.supervisor.operations").reload(fake.set, function() end)
    assert.is_false(heritage.is_calm(fake.set))
  end)
end)
