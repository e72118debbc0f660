local fake_set = require "spec.support.fake_set"
local operations = require "mw.supervisor.operations"

describe("A set of workers", function()
  it("starts as many as are wanted, one a slot, and tells when they are ready", function()
    local fake = fake_set.start()
    assert.equal("1:1:starting 2:2:starting", fake:shape())
    fake:worker(1):become_ready()
    assert.equal("1:1:ready 2:2:starting", fake:shape())
    assert.equal("online:1 ready:1", fake:told())
  end)

  it("takes only the message for ready where that is chosen", function()
    local fake = fake_set.start { workers = 1, ready = "message" }
    fake:worker(1):become_ready()
    fake:worker(1).report("message", "almost ready")
    assert.equal("1:1:starting", fake:shape())
    assert.is_nil(fake:worker(1).active)
    fake:worker(1).report("message", "ready")
    assert.equal("1:1:ready", fake:shape())
    assert.is_true(fake:worker(1).active)
  end)

  it("takes no message for ready otherwise", function()
    local fake = fake_set.start { workers = 1 }
    fake:worker(1).report("message", "ready")
    assert.equal("1:1:starting", fake:shape())
  end)

  it("is due to those who wait as long as a place is free, and not past its limit", function()
    local fake = fake_set.ready { workers = 1, restart = { limit = 2, window = 60000, delay = 100, max_delay = 30000 } }
    assert.is_false(fake.backend.is_due())
    fake:worker(1):exit(1)
    fake:worker(2):exit(1)
    assert.is_true(fake.backend.is_due())
    fake.clock:advance(100)
    fake:worker(3):exit(1)
    assert.is_false(fake.backend.is_due())
  end)

  it("replaces a ready worker at once, in its slot", function()
    local fake = fake_set.ready()
    fake:worker(2):exit(nil, "SIGKILL")
    assert.equal("1:1:ready 3:2:starting", fake:shape())
    assert.equal("exit:2 restart:2", fake:told())
    assert.equal(0, fake.events[2][3])
    assert.matches("worker 2 (slot 2, pid 1002) was ended by SIGKILL", fake.log[1], 1, true)
  end)

  it("replaces one that ended with status 0 too: nobody had asked it", function()
    local fake = fake_set.ready()
    fake:worker(1):exit(0)
    assert.equal("3:1:starting 2:2:ready", fake:shape())
  end)

  it("waits longer and longer for one that never gets ready", function()
    local fake = fake_set.ready { workers = 1 }
    fake:worker(1):exit(1)
    local delays = {}
    for index = 2, 6 do
      assert.equal(index, fake:starts())
      fake:worker(index):exit(1)
      delays[index - 1] = fake.events[#fake.events][3]
      fake.clock:advance(delays[index - 1] - 1)
      assert.equal(index, fake:starts())
      fake.clock:advance(1)
    end
    assert.same({ 100, 200, 400, 800, 30000 }, delays)
    assert.same({}, fake.over)
  end)

  it("kills one that is not ready in time, which counts as a failure", function()
    local fake = fake_set.start { workers = 1 }
    fake.clock:advance(9999)
    assert.is_nil(fake:worker(1).killed)
    fake.clock:advance(1)
    fake.backend:answer_traceback(fake:worker(1))
    assert.is_true(fake:worker(1).killed)
    assert.equal("restart:1", fake:told())
    assert.matches("was not ready within 10000 ms\nstuck in app.lua:7", fake.log[1], 1, true)
    fake.clock:advance(100)
    assert.equal("1:1:stopping 2:1:starting", fake:shape())
    fake:worker(1):exit(nil, "SIGKILL")
    assert.equal("2:1:starting", fake:shape())
    assert.equal(1, fake.set.restarts)
  end)

  it("counts one that ends while it is asked where it is stuck once too", function()
    local fake = fake_set.start { workers = 1 }
    fake.clock:advance(10000)
    fake:worker(1):exit(1)
    fake.backend:answer_traceback(fake:worker(1))
    fake.clock:advance(100)
    assert.equal("2:1:starting", fake:shape())
    assert.equal(1, fake.set.restarts)
  end)

  it("starts the replacement of one that leaves before its end, and counts it once", function()
    local fake = fake_set.ready { workers = 1 }
    fake:worker(1).report("leaving", "uncaught exception: app.lua:3: no")
    assert.equal("1:1:stopping 2:1:starting", fake:shape())
    assert.is_nil(fake:worker(1).asked)
    fake:worker(1):exit(1)
    assert.equal("2:1:starting", fake:shape())
    assert.equal(1, fake.set.restarts)
    assert.matches("worker 1 .* leaves: uncaught exception: app.lua:3: no", fake.log[1])
  end)

  it("kills one that leaves and does not go", function()
    local fake = fake_set.ready { workers = 1 }
    fake:worker(1).report("leaving", "so it says")
    fake.clock:advance(5000)
    assert.is_true(fake:worker(1).killed)
  end)

  it("hears nothing of one that has ended", function()
    local fake = fake_set.ready { workers = 1 }
    fake:worker(1):exit(1)
    fake.events = {}
    fake:worker(1):become_ready()
    fake:worker(1).report("beat", {})
    assert.equal("", fake:told())
  end)

  it("keeps no timers of workers that have ended", function()
    local fake = fake_set.ready { workers = 1 }
    local before = fake.clock:timer_count()
    for _ = 1, 1000 do
      fake:worker(fake:starts()):exit(1)
      if #fake.backend:running() == 0 then
        fake.clock:advance(30000)
      end
      fake:worker(fake:starts()):become_ready()
    end
    assert.equal(before, fake.clock:timer_count())
    assert.equal(1, #fake.set:list())
    assert.equal(1000, fake.set.restarts)
  end)
end)

describe("A reload of a set whose backend keeps something for its workers", function()
  local fake, answer, outcome

  before_each(function()
    fake, outcome = fake_set.ready { workers = 1 }, nil
    function fake.backend.refreshing(done)
      answer = done
    end
    operations.reload(fake.set, function(err, ok)
      outcome = { err and err.message, ok }
    end)
  end)

  it("begins when that is read anew", function()
    assert.equal("1:1:ready", fake:shape())
    answer()
    assert.equal("1:1:ready 2:1:starting", fake:shape())
  end)

  it("ends where that can't be", function()
    answer "no such module"
    assert.equal("1:1:ready", fake:shape())
    assert.same({ "ERR_SUPERVISOR_RELOAD: no such module" }, outcome)
  end)

  it("is over with the set, whatever comes of that", function()
    operations.stop(fake.set, function() end)
    answer()
    fake:worker(1):exit(0)
    assert.equal(1, fake:starts())
    assert.is_true(fake.backend.is_closed)
  end)
end)

describe("What a set notifies its workers of", function()
  it("is told to each once, and to new ones the last", function()
    local fake = fake_set.ready()
    fake.set:notify "one"
    fake.set:notify "two"
    fake:worker(1):exit(1)
    assert.same({ "one", "two" }, fake:worker(1).told)
    assert.same({ "one", "two" }, fake:worker(2).told)
    assert.same({ "two" }, fake:worker(3).told)
    fake.set:notify "three"
    assert.same({ "one", "two" }, fake:worker(1).told)
    assert.same({ "two", "three" }, fake:worker(3).told)
  end)

  it("is not told again where it is the same", function()
    local fake = fake_set.ready { workers = 1 }
    for _, value in ipairs { "one", "one", "two", "two", "one" } do
      fake.set:notify(value)
    end
    assert.same({ "one", "two", "one" }, fake:worker(1).told)
  end)

  it("is nothing as long as there is no value", function()
    assert.is_nil(fake_set.ready():worker(1).told)
  end)
end)

describe("A set whose workers were never ready", function()
  it("tries them again one after the other", function()
    local fake = fake_set.start { workers = 4 }
    for id = 1, 4 do
      fake:worker(id):exit(1)
    end
    fake.clock:advance(1000)
    assert.equal("5:1:starting", fake:shape())
    fake:worker(5):become_ready()
    assert.equal("5:1:ready 6:2:starting 7:3:starting 8:4:starting", fake:shape())
  end)

  it("gives up past the limit, and says why", function()
    local fake = fake_set.start()
    while #fake.over == 0 do
      for _, worker in ipairs(fake.backend:running()) do
        worker:exit(1, nil, "lua: app.lua:1: no such thing")
      end
      fake.clock:advance(2000)
    end
    assert.same({ true }, fake.over)
    assert.equal(7, fake:starts())
    local last = fake.events[#fake.events]
    assert.equal("give_up", last[1])
    assert.matches("ended with status 1 before it was ready: lua: app.lua:1: no such thing", last[2], 1, true)
    assert.equal(0, fake.clock:timer_count())
  end)

  it("gives up at once where a status says that there is no use", function()
    local fake = fake_set.start { workers = 1 }
    fake:worker(1):exit(104)
    assert.same({ true }, fake.over)
    assert.equal(1, fake:starts())
  end)

  it("does not give up where its files are watched: a reload may help", function()
    local fake = fake_set.start { workers = 1, watch = true }
    fake:worker(1):exit(104)
    assert.same({}, fake.over)
    operations.reload(fake.set, function() end)
    fake:worker(2):become_ready()
    assert.equal("2:1:ready", fake:shape())
  end)

  it("does not give up as long as another may still get ready", function()
    local fake = fake_set.start()
    fake:worker(1):exit(103)
    assert.same({}, fake.over)
    fake:worker(2):become_ready()
    fake.clock:advance(30000)
    assert.equal("3:1:starting 2:2:ready", fake:shape())
    fake:worker(3):exit(103)
    assert.same({}, fake.over)
  end)
end)

describe("Hung workers", function()
  it("are told with their traceback, then killed, and replaced meanwhile", function()
    local fake = fake_set.ready()
    local first, second = fake:worker(1), fake:worker(2)
    fake:beat_for(1000)
    fake:beat_for(9500, { [first] = true })
    assert.equal("", fake:told())
    fake:beat_for(500, { [first] = true })
    assert.equal("1:1:stopping 3:1:starting 2:2:ready", fake:shape())
    assert.is_nil(first.killed)
    fake.backend:answer_traceback(first)
    assert.equal("hung:1", fake:told())
    assert.equal("stuck in app.lua:7", fake.events[1][3])
    assert.is_true(first.killed)
    assert.is_nil(second.killed)
    first:exit(nil, "SIGKILL")
    assert.equal(0, fake.set.restarts)
    assert.equal("stuck in app.lua:7", fake.records[1].traceback)
  end)

  it("are killed although the traceback never comes", function()
    local fake = fake_set.ready { workers = 1 }
    fake:beat_for(1000)
    fake:beat_for(11000, { [fake:worker(1)] = true })
    fake.clock:advance(5000)
    assert.is_true(fake:worker(1).killed)
  end)

  it("are not found after a suspend, when all beat again", function()
    local fake = fake_set.ready()
    fake:beat_for(2000)
    fake.clock:skip(3600000)
    fake.clock:advance(0)
    fake:beat_for(30000)
    assert.equal("", fake:told())
    assert.equal(2, fake:starts())
  end)
end)

describe("A worker over a limit", function()
  it("is replaced: the new one is ready before the old one is asked to stop", function()
    local fake = fake_set.ready { workers = 1, max_memory = 1000 }
    fake:worker(1).report("beat", { memory = 999 })
    assert.equal("1:1:ready", fake:shape())
    fake:worker(1).report("beat", { memory = 1000 })
    assert.equal("1:1:ready 2:1:starting", fake:shape())
    assert.is_nil(fake:worker(1).asked)
    fake:worker(2):become_ready()
    assert.equal("1:1:stopping 2:1:ready", fake:shape())
    assert.is_true(fake:worker(1).asked)
    fake:worker(1):exit(0)
    assert.equal(0, fake.set.restarts)
  end)

  it("goes on while its replacement fails, which is tried again later", function()
    local fake = fake_set.ready { workers = 1, max_requests = 100 }
    fake:worker(1).report("beat", { requests = 100 })
    fake:worker(2):exit(1)
    fake:worker(1).report("beat", { requests = 101 })
    assert.equal("1:1:ready", fake:shape())
    fake.clock:advance(100)
    assert.equal("1:1:ready 3:1:starting", fake:shape())
  end)

  it("leaves its place to the replacement where it dies meanwhile", function()
    local fake = fake_set.ready { workers = 1, max_lifetime = 1000 }
    fake:beat_for(1500)
    assert.equal("1:1:ready 2:1:starting", fake:shape())
    fake:worker(1):exit(1)
    assert.equal("2:1:starting", fake:shape())
  end)
end)

describe("A script that is no server", function()
  local function start()
    return fake_set.start { workers = 1, ready = "script", watch = true }
  end

  local function reload(fake)
    local result = {}
    operations.reload(fake.set, function(err, ok)
      result.ok, result.err = ok, err
    end)
    return result
  end

  it("is ready once it runs, or has run for long, and never hung", function()
    local fake = start()
    fake:worker(1).report "running"
    assert.equal("1:1:ready", fake:shape())
    local slow = start()
    slow.clock:advance(10000)
    assert.equal("1:1:ready", slow:shape())
    slow:worker(1).report("beat", {})
    slow:beat_for(60000, { [slow:worker(1)] = true })
    assert.equal("1:1:ready", slow:shape())
  end)

  for code = 0, 1 do
    it("is run again by a reload only, when it has ended with " .. code, function()
      local fake = start()
      fake:worker(1).report "running"
      fake:worker(1):exit(code)
      fake.clock:advance(600000)
      assert.equal(1, fake:starts())
      assert.matches("it runs again when a file changes", fake.log[#fake.log], 1, true)
      local result = reload(fake)
      fake:worker(2).report "running"
      assert.is_true(result.ok)
      assert.equal("2:1:ready", fake:shape())
    end)
  end

  it("may have ended before it was ready", function()
    local fake = start()
    fake:worker(1).report "running"
    local result = reload(fake)
    fake:worker(2):exit(0)
    assert.is_true(fake:worker(1).asked)
    fake:worker(1):exit(0)
    assert.is_true(result.ok)
    fake.clock:advance(600000)
    assert.equal("", fake:shape())
    assert.equal(2, fake:starts())
  end)

  it("that is wrong leaves the one before as it is", function()
    local fake = start()
    fake:worker(1).report "running"
    local result = reload(fake)
    fake:worker(2):exit(1)
    assert.matches("worker 2", result.err.message)
    assert.equal("1:1:ready", fake:shape())
  end)

  it("becomes a server by listening", function()
    local fake = start()
    fake:worker(1).report "running"
    fake:worker(1).report "listening"
    fake:worker(1):exit(0)
    assert.equal("2:1:starting", fake:shape())
  end)
end)
