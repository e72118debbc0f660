local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local proc = require "spec.support.proc"

after_each(clusters.clean)

-- Who prints first of two processes is open.
local function sorted(printed)
  local lines = {}
  for line in printed:gmatch "[^\n]+" do
    lines[#lines + 1] = line
  end
  table.sort(lines)
  return lines
end

local both = "worker:on('disconnect', function() print('in it', worker.exited_after_disconnect, worker:is_connected()) end)\n"

local report = [[
  local worker = cluster.fork()
  worker:on("disconnect", function() print("disconnect", worker.exited_after_disconnect) end)
  worker:on("exit", function(...) print("exit", worker.exited_after_disconnect, ...) end)
]]

describe("disconnect() of a worker", function()
  -- CL-18
  it("returns it, and ends it with status 0", function()
    local printed = clusters.run(report .. "print(worker:disconnect() == worker, worker.exited_after_disconnect)", both)
    assert.same({ "disconnect\ttrue", "exit\ttrue\t0\tnil", "in it\ttrue\tfalse", "true\ttrue" }, sorted(printed))
  end)

  -- CL-18
  it("lets its own handler choose another status", function()
    local printed = clusters.run(report .. "worker:disconnect()", "worker:on('disconnect', function() process.exit(42) end)")
    assert.equal("disconnect\ttrue\nexit\ttrue\t42\tnil\n", printed)
  end)

  -- CL-20, CL-22
  it("does not end what still runs there", function()
    local printed = clusters.run(
      report .. "worker:disconnect()",
      "worker:on('disconnect', function() mw.timers.set_timeout(os.exit, 20, 42) end)"
    )
    assert.equal("disconnect\ttrue\nexit\ttrue\t42\tnil\n", printed)
  end)

  -- CL-18, CL-21
  it("in the worker returns it, and is known to the master before the channel is closed", function()
    local printed = clusters.run(
      report,
      both .. "print(worker:disconnect() == worker, worker.exited_after_disconnect, worker.state, worker:is_connected())"
    )
    assert.same(
      { "disconnect\ttrue", "exit\ttrue\t0\tnil", "in it\ttrue\tfalse", "true\ttrue\tdisconnecting\ttrue" },
      sorted(printed)
    )
  end)

  -- CL-21
  it("in the worker has its flag true in the master, 100 times out of 100", function()
    local printed = clusters.run(
      [[
        local counts = {}
        local function start(left)
          local worker = cluster.fork()
          worker:on("exit", function(code)
            local outcome = tostring(worker.exited_after_disconnect) .. " " .. tostring(code)
            counts[outcome] = (counts[outcome] or 0) + 1
            if left > 1 then
              start(left - 1)
            else
              print(next(counts))
              print(next(counts, "true 0"))
            end
          end)
        end
        for _ = 1, 4 do start(25) end
      ]],
      "worker:on('disconnect', function() process.exit() end) worker:disconnect()"
    )
    -- Each of the four tells what has come so far.
    assert.equal("true 0\t100\nnil\n", printed:match "([^\n]*\n[^\n]*\n)$")
  end)

  -- CL-20
  it("comes at once where the worker is busy with something else than servers", function()
    local printed = clusters.run(
      report .. "worker:on('message', function() worker:disconnect() end)",
      [[
        local server = mw.net.create_server()
        server:listen({ port = 0, host = "127.0.0.1", exclusive = true }, function()
          local socket = mw.net.connect(server:address().port, "127.0.0.1")
          socket:on("connect", function() worker:send "connected" end)
          worker:on("disconnect", function()
            print("open", not socket.destroyed)
            mw.timers.set_immediate(function()
              socket:destroy()
              server:close()
            end)
          end)
          server:on("connection", function(other) other:on("end", function() other:destroy() end) other:resume() end)
        end)
      ]]
    )
    assert.matches("open\ttrue\n", printed, 1, true)
    assert.matches("exit\ttrue\t0\tnil\n$", printed)
  end)

  -- CL-29
  it("may be asked again and from everywhere at once", function()
    local printed = clusters.run(
      [[
        local left = 8
        for _ = 1, left do
          local worker = cluster.fork()
          worker:on("online", function()
            worker:disconnect()
            cluster.disconnect()
            worker:disconnect()
            mw.timers.set_immediate(worker.disconnect, worker)
          end)
          worker:on("disconnect", function() worker:disconnect() end)
          worker:on("exit", function(code)
            assert(code == 0 and worker.exited_after_disconnect)
            worker:disconnect()
            left = left - 1
            if left == 0 then
              print "all"
            end
          end)
        end
        cluster.on("exit", function() cluster.disconnect() end)
      ]],
      [[
        worker:disconnect()
        worker:disconnect()
        worker:on("disconnect", function() worker:disconnect() end)
        mw.timers.set_immediate(worker.disconnect, worker)
        if worker.id % 2 == 0 then
          worker:destroy()
        end
      ]]
    )
    assert.equal("all\n", printed)
  end)

  -- CL-29
  it("asked right before the channel is closed by hand is as good", function()
    local printed = clusters.run(report .. "worker:disconnect() worker.process:disconnect()", both)
    assert.equal("exit\ttrue\t0\tnil\n", printed:match "exit.*$")
  end)
end)

describe("A channel that is lost", function()
  local worker = [[
    worker:on("disconnect", function()
      print("in it", worker.exited_after_disconnect)
      mw.timers.set_timeout(os.exit, 10, 42)
    end)
    process.on("disconnect", function() print "and in the process" end)
  ]]

  -- CL-22
  it("ends the worker at once with status 0, after those who listen", function()
    for master, code in pairs {
      ["worker:on('online', function() worker.process:disconnect() end)"] = "",
      [""] = "process.disconnect()",
    } do
      local printed = clusters.run(report .. master, worker .. code)
      local all = { "and in the process", "disconnect\tfalse", "exit\tfalse\t0\tnil", "in it\tfalse" }
      assert.same(all, sorted(printed))
    end
  end)

  -- CL-22
  it("ends one whose script does not know of clusters", function()
    local script = clusters.write("plain.lua", "require('mw').timers.set_interval(print, 60000)")
    local printed = clusters.run(("cluster.setup_master { exec = %q }\n"):format(script) .. report .. [[
      worker:on("online", function() worker.process:disconnect() end)
    ]])
    assert.equal("disconnect\tfalse\nexit\tfalse\t0\tnil\n", printed)
  end)

  -- CL-22
  it("is what the death of the master is, too", function()
    local master = clusters.start(
      "cluster.fork():on('message', function(pid) print(pid) io.stdout:flush() process.kill(process.pid, 'SIGKILL') end)",
      "worker:send(process.pid) mw.timers.set_interval(print, 60000)"
    )
    local result = require("spec.support.children").finish(master)
    assert.equal("SIGKILL", result.signal)
    eventually(function()
      return not proc.is_alive(tonumber(result.stdout))
    end)
  end)

  it("may mean something else to who says so", function()
    local printed = clusters.run(
      report .. "worker:on('online', function() worker.process:disconnect() end)",
      "function cluster._on_orphaned() mw.timers.set_timeout(os.exit, 5, 3) end"
    )
    assert.equal("disconnect\tfalse\nexit\tfalse\t3\tnil\n", printed)
  end)
end)

describe("cluster.disconnect()", function()
  -- CL-27
  it("without workers calls back once, later", function()
    local printed = clusters.run [[
      local called = false
      print(cluster.disconnect(function(...) called = true print("called", select("#", ...)) end))
      print(called)
      cluster.disconnect()
    ]]
    assert.equal("\nfalse\ncalled\t0\n", printed)
  end)

  -- CL-28
  it("calls back each who waits once all are gone, idle as they are", function()
    local printed = clusters.run [[
      local exits = 0
      cluster.on("exit", function() exits = exits + 1 end)
      for _ = 1, 3 do cluster.fork() end
      cluster.once("online", function()
        cluster.disconnect(function() print("first", exits, next(cluster.workers)) end)
        cluster.disconnect()
        cluster.disconnect(function() print("second", exits, next(cluster.workers)) end)
      end)
    ]]
    assert.equal("first\t3\tnil\nsecond\t3\tnil\n", printed)
  end)

  -- CL-28
  it("lets the cluster be started again when it calls back", function()
    local printed = clusters.run [[
      local rounds = 0
      local function start()
        rounds = rounds + 1
        for _ = 1, 2 do cluster.fork() end
        cluster.once("online", function()
          cluster.disconnect(rounds < 3 and start or function()
            print(rounds, next(cluster.workers), cluster.fork().id)
            cluster.disconnect()
          end)
        end)
      end
      start()
    ]]
    assert.equal("3\tnil\t7\n", printed)
  end)

  it("takes a function or nothing", function()
    local printed = clusters.run "print((select(2, pcall(cluster.disconnect, 1)):match 'disconnect: bad argument .callback.'))"
    assert.equal("disconnect: bad argument 'callback'\n", printed)
  end)
end)
