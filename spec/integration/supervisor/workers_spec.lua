local eventually = require "spec.support.eventually"
local mw = require "mw"
local proc = require "spec.support.proc"
local supervised = require "spec.support.supervised"

local process = mw.process

local it = supervised.it

local function kill(worker)
  assert(process.kill(worker.pid, "SIGKILL"))
end

describe("Supervised workers", function()
  it("are started, and ready once they say so", function()
    local run = supervised.start("process.send 'ready'", { workers = 2 })
    local workers = run:all_ready()
    assert.equal(2, run:count "online")
    assert.equal(2, run:count "ready")
    for slot, worker in ipairs(workers) do
      assert.equal(slot, worker.slot)
      assert.is_true(proc.is_alive(worker.pid))
    end
  end)

  it("get their arguments, and find nothing of ours in their environment", function()
    local run = supervised.start([[
      print(#arg, arg[1], arg[2], process.env.MW_SUPERVISED, #process.exec_argv)
      process.send "ready"
    ]], { args = { "a", "b c" } })
    run:all_ready()
    eventually(function()
      return supervised.written():find("2\ta\tb c\tnil\t0\n", 1, true)
    end)
  end)

  it("can't supervise others", function()
    local run = supervised.start [[
      print(pcall(mw.supervisor.start, { script = arg[0] }))
      process.send "ready"
    ]]
    run:all_ready()
    eventually(function()
      return supervised.written():find("false\t[^\n]*a worker can't supervise others")
    end)
  end)

  it("leave a record of their crash, with their last words and messages", function()
    local code = [[
      process.send "ready"
      process.send { user = "ann" }
      print "going down"
      mw.timers.set_interval(function() assert(not io.open(arg[0] .. ".go"), "no more") end, 5)
    ]]
    local run = supervised.start(code, { crash_dir = supervised.path "crashes" })
    eventually(function()
      local worker = run.supervisor:workers()[1]
      return worker and worker.memory
    end)
    io.open(supervised.path "app.lua.go", "w"):close()
    run:event "restart"
    local name = supervised.written():match "crash record: (%C+)"
    local file = assert(io.open(name))
    local record = file:read "a"
    file:close()
    assert.matches("^worker %d+ %(slot 1, pid %d+%) ended with status 1: ", record)
    assert.matches("\ncode: 1\n", record, 1, true)
    assert.matches("\nmemory: %d+\nlua_heap: %d+\n", record)
    assert.matches("\nlast output:\n  going down\n.*no more", record)
    assert.matches('\nlast messages:\n  "ready"\n  {"user":"ann"}\n', record, 1, true)
  end)

  it("are replaced at once when they are killed", function()
    local run = supervised.start("process.send 'ready'", { workers = 2 })
    local before = run:all_ready()
    for round = 1, 5 do
      local victim = run.supervisor:workers()[round % 2 + 1]
      kill(victim)
      run:event("ready", 2 + round)
      assert.equal(0, (select(2, run:event("restart", round))))
      local worker, code, signal = run:event("exit", round)
      assert.same({ victim.pid, "SIGKILL" }, { worker.pid, signal })
      assert.is_nil(code)
    end
    assert.equal(5, run.supervisor:status().restarts)
    for slot, worker in ipairs(run:all_ready()) do
      assert.equal(slot, worker.slot)
      assert.is_true(worker.id > before[slot].id)
    end
  end)

  it("are replaced at once, and their last words read, where a child of theirs holds their streams", function()
    local run = supervised.start [[
      os.execute "sleep 0.5 &"
      for number = 1, 3000 do print("line " .. number) end
      process.send "ready"
    ]]
    local delays = {}
    run.supervisor:on("restart", function()
      delays[#delays + 1] = process.hrtime()
    end)
    local shortest = math.huge
    for round = 1, 5 do
      local victim = run:event("ready", round)
      local start = process.hrtime()
      kill(victim)
      run:event("restart", round)
      shortest = math.min(shortest, delays[round] - start)
    end
    assert.is_true(shortest < 80 * 1000000, shortest)
    run:event("exit", 5)
    assert.is_true(select(2, supervised.written():gsub("line 3000\n", "")) >= 5)
  end)

  it("that crash at boot start no more than ten times in ten seconds", function()
    local run = supervised.start("if io.open(arg[0] .. '.bad') then error 'bad' end process.send 'ready'")
    run:all_ready()
    io.open(supervised.path "app.lua.bad", "w"):close()
    kill(run.supervisor:workers()[1])
    local starts = 0
    eventually(function()
      starts = run:count "restart"
      return select(2, run:event("restart", starts)) == 30000
    end)
    assert.is_true(starts <= 10, starts)
    local delays = {}
    for index = 1, starts do
      delays[index] = select(2, run:event("restart", index))
    end
    assert.equal(0, delays[1])
    for index = 3, #delays do
      assert.is_true(delays[index] > delays[index - 1])
    end
  end)

  it("show what they use", function()
    local run = supervised.start(
      "kept = ('x'):rep(1 << 23) process.send 'ready'",
      { heartbeat = { interval = 20, timeout = 10000 } }
    )
    local worker = eventually(function()
      local worker = run.supervisor:workers()[1]
      return worker and (worker.lua_heap or 0) > 1 << 23 and worker
    end)
    assert.is_true(worker.memory > worker.lua_heap)
    assert.equal(0, worker.requests)
    assert.equal("ready", worker.state)
  end)

  it("are replaced when they use too much memory, before they are stopped", function()
    local code = [[
      process.send "ready"
      if not io.open(arg[0] .. ".grown") then
        io.open(arg[0] .. ".grown", "w"):close()
        kept = ("x"):rep(1 << 26)
      end
    ]]
    local run = supervised.start(code, { max_memory = 1 << 25, heartbeat = { interval = 50, timeout = 10000 } })
    run:event("ready", 2)
    local first, status = run:event "exit"
    assert.same({ run:event("online").id, 0 }, { first.id, status })
    assert.equal(0, run.supervisor:status().restarts)
    assert.equal(run:event("ready", 2).id, run:all_ready()[1].id)
  end)

  it("are asked to stop, and finish what is under way", function()
    local code = [[
      process.on("disconnect", function()
        mw.timers.set_timeout(print, 50, "finished")
      end)
      process.send "ready"
    ]]
    local run = supervised.start(code)
    run:all_ready()
    run.supervisor:stop()
    local _, status, signal = run:event "exit"
    assert.same({ 0, nil }, { status, signal })
    assert.matches("finished\n", supervised.written(), 1, true)
  end)

  it("that do not go are killed after graceful_timeout", function()
    local run = supervised.start(
      "mw.timers.set_interval(function() end, 1000) process.send 'ready'",
      { graceful_timeout = 100 }
    )
    run:all_ready()
    local start = process.hrtime()
    run.supervisor:stop()
    assert.is_true(process.hrtime() - start >= 100e6)
    local _, _, signal = run:event "exit"
    assert.equal("SIGKILL", signal)
  end)

  it("that leave by themselves are replaced before they have ended", function()
    local code = [[
      process.send "ready"
      if not io.open(arg[0] .. ".left") then
        io.open(arg[0] .. ".left", "w"):close()
        mw.cluster.worker:disconnect()
        while not io.open(arg[0] .. ".go") do mw.sleep(5) end
      end
    ]]
    local run = supervised.start(code, { graceful_timeout = 20000 })
    run:event("ready", 2)
    assert.equal(0, run:count "exit")
    io.open(supervised.path "app.lua.go", "w"):close()
    local worker, status = run:event "exit"
    assert.same({ run:event("online").id, 0 }, { worker.id, status })
    assert.equal(1, run.supervisor:status().restarts)
  end)

  it("that end before they are ready have failed, whatever the status", function()
    local run = supervised.start("process.exit(0)", { restart = { delay = 60000 } })
    local _, delay = run:event "restart"
    assert.is_true(delay > 20000)
    local _, code, signal = run:event "exit"
    assert.same({ 0, nil }, { code, signal })
  end)
end)

describe("A reload with real workers", function()
  it("runs the new script", function()
    local run = supervised.start("process.send 'ready' print 'old'", { workers = 2 })
    run:all_ready()
    supervised.write "process.send 'ready' print 'new'"
    assert.is_true(run.supervisor:reload())
    eventually(function()
      return supervised.written():find("new\n", 1, true)
    end)
    local status = run.supervisor:status()
    assert.equal(2, status.generation)
    assert.equal(2, #status.workers)
    for _, worker in ipairs(status.workers) do
      assert.equal(2, worker.generation)
    end
    assert.same({ true }, { run:event "reload" })
  end)

  it("of a broken script keeps the old workers, and tells its error", function()
    local run = supervised.start("process.send 'ready'", { workers = 2 })
    local before = run:all_ready()
    supervised.write "local x ="
    local ok, err = run.supervisor:reload()
    assert.is_nil(ok)
    assert.matches("app.lua:1: unexpected symbol near <eof>", tostring(err), 1, true)
    assert.equal(err, run:event "rollback")
    assert.same({ false, err }, { run:event "reload" })
    local after = run:all_ready()
    for slot = 1, 2 do
      assert.equal(before[slot].pid, after[slot].pid)
    end
  end)
end)

describe("scale and restart with real workers", function()
  it("do what they say", function()
    local run = supervised.start "process.send 'ready'"
    run:all_ready()
    assert.is_true(run.supervisor:scale(3))
    assert.equal(3, #run.supervisor:workers())
    local before = run.supervisor:workers()
    assert.is_true(run.supervisor:restart(before[2].id))
    local after = run.supervisor:workers()
    assert.same({ before[1].id, before[3].id + 1, before[3].id }, { after[1].id, after[2].id, after[3].id })
    assert.is_true(run.supervisor:scale(1))
    assert.equal(1, #run.supervisor:workers())
  end)
end)
