local eventually = require "spec.support.eventually"
local supervised = require "spec.support.supervised"

local it = supervised.it

local quick = { interval = 50, timeout = 400 }

-- Supervises a worker whose first one does something that never ends, when it is
-- ready; returns the traceback of `hung`.
local function traceback_of(code, opts)
  local all = { heartbeat = quick }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  local run = supervised.start(
    [[
      process.send "ready"
      -- The first one goes on to what never ends.
      if io.open(arg[0] .. ".second") then return end
      io.open(arg[0] .. ".second", "w"):close()
    ]] .. code,
    all
  )
  local worker, traceback = run:event "hung"
  assert.equal(run:event "online", worker)
  assert.matches(traceback, supervised.written(), 1, true)
  run:event("ready", 2)
  local gone, _, signal = run:event "exit"
  assert.same({ worker.id, "SIGKILL" }, { gone.id, signal })
  assert.equal(0, run.supervisor:status().restarts)
  return traceback
end

describe("A hung worker", function()
  it("is replaced, and its line told", function()
    local traceback = traceback_of [[
      local function spin()
        while true do end
      end
      mw.timers.set_timeout(function()
        spin()
      end, 1)
    ]]
    assert.matches("app.lua:6: in upvalue 'spin'", traceback, 1, true)
  end)

  it("is found in a task, and the tasks that wait are told as well", function()
    local traceback = traceback_of [[
      local function wait_for_ever()
        mw.sleep(1000000)
      end
      mw.go(wait_for_ever)
      local function busy()
        mw.sleep(1)
        local n = 0
        while true do n = n + 1 end
      end
      mw.go(busy)
    ]]
    assert.matches("app.lua:12: in function", traceback, 1, true)
    assert.matches("a task that waits:", traceback, 1, true)
    assert.matches("app.lua:6: in function", traceback, 1, true)
  end)

  for name, code in pairs {
    resume = "coroutine.resume(coroutine.create(function() local inner = 1 while inner do end end))",
    wrap = "coroutine.wrap(function() local inner = 1 while inner do end end)()",
  } do
    it("is found in a coroutine of Lua's own, by " .. name, function()
      local traceback = traceback_of("\n\nmw.timers.set_timeout(function()\n" .. code .. "\nend, 1)")
      assert.matches("app.lua:8: in function", traceback, 1, true)
      assert.matches("called from the main thread:", traceback, 1, true)
    end)
  end

  it("is found in code that catches all errors", function()
    local traceback = traceback_of "mw.timers.set_timeout(function()\nwhile true do pcall(error, 'x') end\nend, 1)"
    assert.matches("app.lua:6: in upvalue 'fn'", traceback, 1, true)
  end)

  it("is told by the line that called where no Lua code runs", function()
    local traceback = traceback_of "mw.timers.set_timeout(function()\nos.execute 'exec sleep 600'\nend, 1)"
    assert.matches("^no Lua code runs: stuck in a call of [^\n]*app.lua:6 < [^\n]*$", traceback)
  end)

  it("that is stopped does not answer, and is replaced", function()
    local traceback = traceback_of "mw.timers.set_timeout(function()\nprocess.kill(process.pid, 'SIGSTOP')\nend, 1)"
    assert.matches("nothing answers", traceback, 1, true)
  end)

  it("that has a hook of its own is found all the same", function()
    local traceback = traceback_of [[
      mw.timers.set_timeout(function()
        debug.sethook(function() end, "", 1000)
        while true do end
      end, 1)
    ]]
    assert.matches("app.lua:7: in upvalue 'fn'", traceback, 1, true)
  end)
end)

describe("A worker that is stuck before it is ready", function()
  it("is killed after ready_timeout, and its line told", function()
    local run = supervised.start("\nwhile true do end", { ready_timeout = 300 })
    run:event "restart"
    assert.matches("was not ready within 300 ms\n[^\n]*\n[^\n]*app.lua:2: in main chunk", supervised.written())
    local _, _, signal = run:event "exit"
    assert.equal("SIGKILL", signal)
  end)
end)

describe("A worker that is only busy", function()
  it("is not taken for hung", function()
    local run = supervised.start(
      [[
        process.send "ready"
        mw.timers.set_interval(function()
          local start = process.hrtime()
          while process.hrtime() - start < 50e6 do end
        end, 1)
      ]],
      { heartbeat = { interval = 50, timeout = 1500 }, graceful_timeout = 0 }
    )
    eventually(function()
      return run.supervisor:workers()[1].uptime > 2500
    end)
    assert.equal(0, run:count "hung")
    assert.equal(1, run:count "ready")
  end)

  it("has its stalls counted, and the line of the last one named", function()
    local run = supervised.start(
      [[
        process.send "ready"
        local line = debug.getinfo(1, "l").currentline
        mw.timers.set_timeout(function()
          local start = process.hrtime()
          while process.hrtime() - start < 700e6 do end
        end, 20)
      ]],
      { heartbeat = { interval = 50, timeout = 10000 }, stall_warning = 350 }
    )
    local worker = eventually(function()
      local worker = run.supervisor:workers()[1]
      return worker and worker.stalls and worker.stalls > 0 and worker
    end)
    assert.equal(1, worker.stalls)
    assert.matches("app.lua:5", worker.last_stall.place)
    assert.is_true(worker.last_stall.duration >= 350 and worker.last_stall.duration <= worker.uptime)
    local later = worker.uptime + 300
    eventually(function()
      worker = run.supervisor:workers()[1]
      return worker.uptime > later
    end)
    assert.equal(1, worker.stalls)
  end)
end)
