local fake_set = require "spec.support.fake_set"
local operations = require "mw.supervisor.operations"

-- Asks for an operation; the answer fills as it comes.
local function ask(name, fake, ...)
  local answer = {}
  local arguments = { ... }
  arguments[#arguments + 1] = function(err, ok)
    assert(not answer.over, "answers once")
    answer.over, answer.err, answer.ok = true, err, ok
  end
  operations[name](fake.set, table.unpack(arguments))
  return answer
end

describe("scale", function()
  it("starts what is missing and answers when it is ready", function()
    local fake = fake_set.ready()
    local answer = ask("scale", fake, 3)
    assert.equal("1:1:ready 2:2:ready 3:3:starting", fake:shape())
    assert.is_nil(answer.over)
    fake:worker(3):become_ready()
    assert.same({ over = true, ok = true }, answer)
  end)

  it("asks those in the last slots to stop and answers when they have gone", function()
    local fake = fake_set.ready { workers = 3 }
    local answer = ask("scale", fake, 1)
    assert.equal("1:1:ready 2:2:stopping 3:3:stopping", fake:shape())
    fake:worker(2):exit(0)
    assert.is_nil(answer.over)
    fake:worker(3):exit(0)
    assert.is_true(answer.ok)
    assert.equal("exit:2 exit:3", fake:told())
    assert.equal(0, fake.set.restarts)
  end)

  it("kills after graceful_timeout who does not go", function()
    local fake = fake_set.ready()
    ask("scale", fake, 1)
    fake.clock:advance(4999)
    assert.is_nil(fake:worker(2).killed)
    fake.clock:advance(1)
    assert.is_true(fake:worker(2).killed)
  end)

  it("tells why a new worker did not get ready, and goes on trying", function()
    local fake = fake_set.ready { workers = 1 }
    local answer = ask("scale", fake, 2)
    fake:worker(2):exit(1, nil, "no port left")
    assert.matches("no port left", tostring(answer.err), 1, true)
    fake.clock:advance(100)
    assert.equal("1:1:ready 3:2:starting", fake:shape())
  end)

  it("asks a worker that is not ready yet to stop too", function()
    local fake = fake_set.start()
    ask("scale", fake, 1)
    assert.is_true(fake:worker(2).asked)
  end)
end)

describe("restart", function()
  it("replaces one worker and answers when it has gone", function()
    local fake = fake_set.ready()
    local answer = ask("restart", fake, 2)
    assert.equal("1:1:ready 2:2:ready 3:2:starting", fake:shape())
    fake:worker(3):become_ready()
    assert.is_nil(answer.over)
    fake:worker(2):exit(0)
    assert.is_true(answer.ok)
    assert.equal("1:1:ready 3:2:ready", fake:shape())
  end)

  it("of a worker that is not there is an error", function()
    local fake = fake_set.ready()
    assert.matches("there is no worker 9", tostring(ask("restart", fake, 9).err), 1, true)
  end)
end)

describe("reload", function()
  it("starts a canary, goes on one by one, and stops the old ones when all are ready", function()
    local fake = fake_set.ready()
    local answer = ask("reload", fake)
    assert.equal("1:1:ready 3:1:starting 2:2:ready", fake:shape())
    fake:worker(3):become_ready()
    assert.equal("1:1:ready 3:1:ready 2:2:ready 4:2:starting", fake:shape())
    fake:worker(4):become_ready()
    assert.equal("1:1:stopping 3:1:ready 2:2:stopping 4:2:ready", fake:shape())
    fake:worker(1):exit(0)
    assert.is_nil(answer.over)
    fake:worker(2):exit(0)
    assert.is_true(answer.ok)
    assert.equal(2, fake.set.generation)
    assert.equal(2, fake:worker(4).generation)
    assert.equal("reload:true", fake:told():match "reload:%a+$")
    assert.equal(0, fake.set.restarts)
  end)

  it("with a canary that dies keeps the old ones, and tells the error", function()
    local fake = fake_set.ready()
    local answer = ask("reload", fake)
    fake:worker(3):exit(1, nil, "app.lua:3: syntax error")
    assert.equal("1:1:ready 2:2:ready", fake:shape())
    assert.matches("app.lua:3: syntax error", tostring(answer.err), 1, true)
    assert.equal("exit:3 rollback:", fake:told():match "^exit:3 rollback:")
    assert.same({ "reload", false, answer.err }, fake.events[#fake.events])
    assert.equal(1, fake.set.generation)
    assert.equal(0, fake.set.restarts)
    fake.clock:advance(60000)
    assert.equal(3, fake:starts())
  end)

  it("with a canary that is never ready ends after ready_timeout", function()
    local fake = fake_set.ready()
    local answer = ask("reload", fake)
    fake:beat_for(10000)
    fake.backend:answer_traceback(fake:worker(3))
    assert.is_true(fake:worker(3).killed)
    assert.matches("was not ready within 10000 ms", tostring(answer.err), 1, true)
    fake:worker(3):exit(nil, "SIGKILL")
    assert.equal("1:1:ready 2:2:ready", fake:shape())
  end)

  it("takes back the new ones that are ready where a later one fails", function()
    local fake = fake_set.ready()
    local answer = ask("reload", fake)
    fake:worker(3):become_ready()
    fake:worker(4):exit(1)
    assert.equal("1:1:ready 3:1:stopping 2:2:ready", fake:shape())
    assert.is_true(fake:worker(3).asked)
    assert.is_nil(fake:worker(1).asked)
    assert.is_not_nil(answer.err)
  end)

  it("that comes during another waits for it", function()
    local fake = fake_set.ready { workers = 1 }
    local first, second = ask("reload", fake), ask("reload", fake)
    fake:worker(2):become_ready()
    assert.equal("1:1:stopping 2:1:ready", fake:shape())
    assert.is_nil(first.over)
    fake:worker(1):exit(0)
    assert.is_true(first.ok)
    assert.equal("2:1:ready 3:1:starting", fake:shape())
    fake:worker(3):become_ready()
    fake:worker(2):exit(0)
    assert.is_true(second.ok)
    assert.equal(3, fake.set.generation)
  end)

  it("never has more than one old generation", function()
    local fake = fake_set.ready { workers = 1 }
    for _ = 1, 10 do
      ask("reload", fake)
    end
    for _ = 1, 10 do
      fake:worker(fake:starts()):become_ready()
      assert.equal(2, #fake.set:list())
      fake:worker(fake:starts() - 1):exit(0)
    end
    assert.equal(11, fake.set.generation)
  end)

  it("goes on after an old worker has died meanwhile", function()
    local fake = fake_set.ready()
    local answer = ask("reload", fake)
    fake:worker(1):exit(1)
    assert.equal("3:1:starting 2:2:ready", fake:shape())
    fake:worker(3):become_ready()
    fake:worker(4):become_ready()
    fake:worker(2):exit(0)
    assert.is_true(answer.ok)
    assert.equal("3:1:ready 4:2:ready", fake:shape())
  end)

  it("starts at once where the old workers only crash", function()
    local fake = fake_set.ready { workers = 1 }
    fake:worker(1):exit(103)
    fake:worker(2):exit(103)
    assert.equal("", fake:shape())
    local answer = ask("reload", fake)
    assert.equal("3:1:starting", fake:shape())
    fake:worker(3):become_ready()
    assert.is_true(answer.ok)
    assert.equal("3:1:ready", fake:shape())
  end)

  it("replaces what is started by scale meanwhile too", function()
    local fake = fake_set.ready { workers = 1 }
    local answer = ask("reload", fake)
    ask("scale", fake, 2)
    assert.equal("1:1:ready 2:1:starting 3:2:starting", fake:shape())
    fake:worker(3):become_ready()
    fake:worker(2):become_ready()
    fake:worker(4):become_ready()
    fake:worker(1):exit(0)
    fake:worker(3):exit(0)
    assert.is_true(answer.ok)
    assert.equal("2:1:ready 4:2:ready", fake:shape())
  end)
end)

describe("stop", function()
  it("asks all, and answers when they have gone", function()
    local fake = fake_set.ready()
    local answer = ask("stop", fake)
    assert.equal("1:1:stopping 2:2:stopping", fake:shape())
    fake:worker(1):exit(0)
    assert.is_nil(answer.over)
    fake:worker(2):exit(1)
    assert.is_true(answer.ok)
    assert.same({ false }, fake.over)
    assert.equal(0, fake.clock:timer_count())
    assert.equal(2, fake:starts())
  end)

  it("kills after graceful_timeout", function()
    local fake = fake_set.ready { workers = 1 }
    ask("stop", fake)
    fake.clock:advance(5000)
    assert.is_true(fake:worker(1).killed)
  end)

  it("may be asked for twice, and later", function()
    local fake = fake_set.ready { workers = 1 }
    local first, second = ask("stop", fake), ask("stop", fake)
    fake:worker(1):exit(0)
    assert.is_true(first.ok and second.ok)
    assert.is_true(ask("stop", fake).ok)
    assert.same({ false }, fake.over)
  end)

  it("ends reloads, under way or not, and what else is asked for", function()
    local fake = fake_set.ready { workers = 1 }
    local answers = { ask("reload", fake), ask("reload", fake), ask("scale", fake, 2) }
    ask("stop", fake)
    answers[4], answers[5], answers[6] = ask("reload", fake), ask("scale", fake, 3), ask("restart", fake, 1)
    for index, answer in ipairs(answers) do
      assert.equal("ERR_SUPERVISOR_STOPPED", answer.err and answer.err.code, index)
    end
    for _, worker in ipairs(fake.backend:running()) do
      worker:exit(0)
    end
    assert.same({ false }, fake.over)
  end)

  it("ends a set that waits for its next attempt", function()
    local fake = fake_set.ready { workers = 1 }
    fake:worker(1):exit(103)
    fake:worker(2):exit(103)
    assert.is_true(ask("stop", fake).ok)
    assert.equal(0, fake.clock:timer_count())
  end)
end)
