local clusters = require "spec.support.clusters"

after_each(clusters.clean)

-- Prints each event with how many values it has, and what the worker is then.
local watch = [[
  local function show(where, event, ...)
    print(where, event, select("#", ...), ...)
  end
  for _, event in ipairs { "fork", "online", "listening", "exit", "disconnect" } do
    cluster.on(event, function(worker, ...)
      show("cluster " .. worker.id, event, ...)
    end)
  end
  local function watch(worker)
    for _, event in ipairs { "fork", "online", "listening", "exit", "disconnect" } do
      worker:on(event, function(...) show("worker " .. worker.id, event, ...) end)
    end
    return worker
  end
]]

local state = [[
  local worker = cluster.fork()
  print("at once", worker.state, worker.exited_after_disconnect, worker:is_connected(), worker:is_dead())
  for _, event in ipairs { "online", "disconnect", "exit" } do
    worker:on(event, function()
      print(event, worker.state, worker.exited_after_disconnect, worker:is_connected(), worker:is_dead())
    end)
  end
]]

describe("The events of a worker", function()
  -- CL-10
  it("come on itself, then on the cluster, which is given the worker", function()
    local printed = clusters.run(watch .. "watch(cluster.fork()):once('online', function() cluster.disconnect() end)")
    assert.equal(
      table.concat({
        "cluster 1\tfork\t0",
        "worker 1\tonline\t0",
        "cluster 1\tonline\t0",
        "worker 1\tdisconnect\t0",
        "cluster 1\tdisconnect\t0",
        "worker 1\texit\t2\t0\tnil",
        "cluster 1\texit\t2\t0\tnil\n",
      }, "\n"),
      printed
    )
  end)

  -- CL-10
  it("are waited for", function()
    local printed = clusters.run [[
      mw.go(function()
        local worker = cluster.fork()
        print(worker:wait "online", worker:disconnect() == cluster.wait "disconnect")
        print(worker:wait "exit")
        print(worker:wait "exit")
        print(worker:wait "online", worker:wait "disconnect", (select(2, worker:wait "listening")))
      end)
    ]]
    assert.matches("^true\ttrue\n0\tnil\n0\tnil\ntrue\ttrue\tERR_STREAM_DESTROYED: [^\n]*\n$", printed)
  end)

  it("that can't come any more are an error for who waits", function()
    local printed = clusters.run [[
      cluster.setup_master { exec_path = "/no/such/mwrun" }
      local worker = cluster.fork()
      print((select(2, worker:wait "online")).code)
      print((select(2, worker:wait "exit")).code)
    ]]
    assert.equal("ENOENT\nENOENT\n", printed)
  end)

  -- CL-13, CL-15, CL-17
  it("find the state set already, after a requested disconnect", function()
    local printed = clusters.run(state .. "worker:on('online', function() worker:disconnect() end)")
    assert.equal(
      table.concat({
        "at once\tnone\tnil\ttrue\tfalse",
        "online\tonline\tnil\ttrue\tfalse",
        "disconnect\tdisconnected\ttrue\tfalse\tfalse",
        "exit\tdead\ttrue\tfalse\ttrue\n",
      }, "\n"),
      printed
    )
  end)

  -- CL-14, CL-15
  it("are one disconnect and one exit, however it ends, and the flag is false where nobody asked", function()
    for worker, expected in pairs {
      ["os.exit(42)"] = "42\tnil",
      ["process.exit(0)"] = "0\tnil",
      ["error 'no good'"] = "1\tnil",
      ["process.kill(process.pid, 'SIGKILL')"] = "nil\tSIGKILL",
      ["process.disconnect()"] = "0\tnil",
    } do
      local printed = clusters.run(
        [[
          cluster.setup_master { silent = true } -- the traceback is not ours
          local worker = cluster.fork()
          local count = { disconnect = 0, exit = 0 }
          local function note(event, ...)
            count[event] = count[event] + 1
            print(event, worker.exited_after_disconnect, ...)
          end
          worker:on("disconnect", function(...) note("disconnect", ...) end)
          worker:on("exit", function(...)
            print(require("spec.support.proc").is_alive(worker.process.pid))
            note("exit", ...)
          end)
          process.on("exit", function() print(count.disconnect, count.exit, next(cluster.workers)) end)
        ]],
        worker
      )
      assert.equal(("disconnect\tfalse\nfalse\nexit\tfalse\t%s\n1\t1\tnil\n"):format(expected), printed)
    end
  end)

  -- CL-14
  it("are still an exit where somebody else holds the channel's end", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        worker:on("exit", function(code)
          print("exit", code, worker:is_connected(), cluster.workers[1] == worker)
          worker:disconnect()
          worker.process:disconnect()
        end)
        worker:on("disconnect", function() print("disconnect", worker.state, cluster.workers[1]) end)
      ]],
      [[
        local name = ("/proc/self/fd/%d")
        local uv = require "luv"
        local held
        for fd = 3, 30 do
          if (uv.fs_readlink(name:format(fd)) or ""):find "^socket" then
            held = fd
          end
        end
        mw.child_process.spawn("sleep", { "1" }, { stdio = { "ignore", "ignore", "ignore", held } })
        process.exit(5)
      ]]
    )
    assert.equal("exit\t5\ttrue\ttrue\ndisconnect\tdead\tnil\n", printed)
  end)

  it("are an error where it can't be started, and it is no worker then", function()
    local printed = clusters.run [[
      cluster.setup_master { exec_path = "/no/such/mwrun" }
      local worker = cluster.fork()
      worker:on("error", function(err) print(err.code, worker.process.pid) end)
      worker:on("exit", function() print "never" end)
      cluster.disconnect(function()
        print(next(cluster.workers), worker.state, worker:is_dead(), worker:is_connected(), worker.exited_after_disconnect)
        print(worker:disconnect() == worker, worker:kill(), worker.slot, cluster._fork(nil, 3):on("error", print).slot)
      end)
    ]]
    assert.matches("^ENOENT\tnil\nnil\tdead\ttrue\tfalse\ttrue\ntrue\tfalse\t1\t3\nENOENT", printed)
  end)
end)

describe("cluster.workers", function()
  it("has a worker until both disconnect and exit have come", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        worker:on("disconnect", function() print("disconnect", cluster.workers[1] == worker) end)
        worker:on("exit", function() print("exit", next(cluster.workers)) end)
        worker:on("online", function() worker:disconnect() print("asked", cluster.workers[1] == worker) end)
      ]],
      "worker:on('disconnect', function() mw.sleep(20, function() end) end)"
    )
    assert.equal("asked\ttrue\ndisconnect\ttrue\nexit\tnil\n", printed)
  end)
end)

describe("A message", function()
  local echo = "worker:on('message', function(value) worker:send(value) end)"

  -- CL-12
  it("to the master is seen on the child, on the worker and on the cluster, once each", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        worker.process:on("message", function(value, ...) print("child", value) end)
        worker:on("message", function(value) print("worker", value) end)
        cluster.on("message", function(from, value)
          print("cluster", from == worker, value)
          worker:disconnect()
        end)
        print(worker:send(5))
      ]],
      echo
    )
    assert.equal("true\nchild\t5\nworker\t5\ncluster\ttrue\t5\n", printed)
  end)

  -- CL-12
  it("to a worker is seen on the process, on the worker and on the cluster, once each", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        worker:send "a"
      ]],
      [[
        process.on("message", function(value) print("process", value) end)
        worker:on("message", function(value) print("worker", value) end)
        cluster.on("message", function(from, value)
          print("cluster", from == worker, value)
          worker:disconnect()
        end)
      ]]
    )
    assert.equal("process\ta\nworker\ta\ncluster\ttrue\ta\n", printed)
  end)

  -- CL-12, IPC-18
  it("is kept for the first who listens, wherever that is", function()
    for _, listen in ipairs {
      "worker.process:on('message', take)",
      "worker:on('message', take)",
      "cluster.on('message', function(_, value) take(value) end)",
    } do
      local printed = clusters.run(
        [[
          local worker = cluster.fork()
          local function take(value)
            print(value)
            if value == 2 then
              worker:disconnect()
            end
          end
          worker:on("exit", function() mw.sleep(5, function() ]] .. listen .. [[ end) end)
        ]],
        "worker:send(1) worker:send(2) worker:disconnect()"
      )
      assert.equal("1\n2\n", printed)
    end
  end)

  -- CL-12
  it("is kept again when the last listener has gone", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        worker:once("message", function(value)
          print("first", value)
          mw.sleep(5, function()
            worker:once("message", function(second)
              print("second", second)
              worker:disconnect()
            end)
          end)
        end)
      ]],
      "worker:send(1) worker:send(2)"
    )
    assert.equal("first\t1\nsecond\t2\n", printed)
  end)

  it("may have a handle", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        local reading, writing = require("luv").pipe().read, nil
        worker:send("take", assert(process.fd(reading)))
        cluster.on("message", function(_, value, handle)
          print(value, handle.kind)
          handle:close()
          worker:disconnect()
        end)
      ]],
      "worker:on('message', function(value, handle) worker:send(value, handle) end)"
    )
    assert.equal("take\tpipe\n", printed)
  end)
end)

describe("An error", function()
  -- CL-12
  it("of a child is its worker's too", function()
    local printed = clusters.run [[
      local worker = cluster.fork()
      worker:on("exit", function()
        worker.process:on("error", function(err) print("child", err.code) end)
        worker:on("error", function(err) print("worker", err.code) end)
        print(worker:send "late")
      end)
      worker:disconnect()
    ]]
    assert.equal("false\nchild\tERR_IPC_CHANNEL_CLOSED\nworker\tERR_IPC_CHANNEL_CLOSED\n", printed)
  end)

  -- CL-12
  it("is listened to where the child has a listener", function()
    local printed = clusters.run [[
      local worker = cluster.fork()
      worker:on("exit", function()
        worker.process:on("error", function(err) print(err.code) end)
        worker:send "late"
      end)
      worker:disconnect()
    ]]
    assert.equal("ERR_IPC_CHANNEL_CLOSED\n", printed)
  end)

  -- CL-24
  it("that nobody has caught is for the master's own handler", function()
    local child = clusters.start [[
      process.on("uncaught_exception", function(err)
        print(err)
        process.exit(42)
      end)
      cluster.fork():on("online", function() error("no good", 0) end)
    ]]
    local result = require("spec.support.children").finish(child)
    assert.equal("no good\n", result.stdout)
    assert.equal(42, result.code)
  end)
end)
