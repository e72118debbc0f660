local children = require "spec.support.children"
local clusters = require "spec.support.clusters"
local mw = require "mw"
local run_mwrun = require "spec.support.run_mwrun"

after_each(clusters.clean)

describe("A process", function()
  -- CL-01
  it("is a master where nothing says otherwise", function()
    local code = "local c = require 'mw.cluster' print(c.is_master, c.is_worker, c.worker, next(c.workers), next(c.settings))"
    assert.equal("true\tfalse\tnil\tnil\tnil\n", run_mwrun({ "-e", code }).stdout)
  end)

  -- CL-01
  it("is a worker where its master has named it so", function()
    local printed = clusters.run(
      "cluster.fork():on('exit', function(code) print(code) end)",
      "print(cluster.is_master, cluster.is_worker, worker.id, worker.slot, worker.process == process, cluster.workers) os.exit(3)"
    )
    assert.equal("false\ttrue\t1\t1\ttrue\tnil\n3\n", printed)
  end)

  -- CL-01
  it("that is a worker does not make its children believe that they are", function()
    local printed = clusters.run(
      "cluster.fork()",
      [[
        local found = {}
        for name in pairs(process.env) do
          found[#found + 1] = name:match "^MW_UNIQUE.*" or name:match "^MW_WORKER.*"
        end
        print(#found, os.getenv "MW_UNIQUE_ID")
        local child = mw.child_process.spawn(process.exec_path, { "-e", "print(require('mw.cluster').is_worker)" }, {
          stdio = { "ignore", "inherit", "inherit", "ipc" },
        })
        child:on("exit", function()
          worker:disconnect()
        end)
      ]]
    )
    assert.equal("0\tnil\nfalse\n", printed)
  end)

  -- CL-01
  it("loses the variable also where it never asks for the cluster", function()
    local code = "print(os.getenv 'MW_UNIQUE_ID', os.getenv 'MW_WORKER_SLOT', package.loaded['mw.cluster'])"
    local env = { MW_UNIQUE_ID = "1", MW_WORKER_SLOT = "1" }
    assert.equal("nil\tnil\tnil\n", run_mwrun({ "-e", code }, { env = env }).stdout)
  end)

  it("without a channel is nobody's worker, and with nonsense for an id neither", function()
    local code = "print(require('mw.cluster').is_worker)"
    assert.equal("false\n", run_mwrun({ "-e", code }, { env = { MW_UNIQUE_ID = "1" } }).stdout)
    for _, id in ipairs { "", "0", "-1", "x", "99999999999999999999" } do
      local opts = { env = { MW_UNIQUE_ID = id }, stdio = { "ignore", "pipe", "inherit", "ipc" } }
      assert.equal("false\n", children.lua(code, opts).stdout)
    end
  end)
end)

describe("A worker", function()
  it("is one whose script never asks for the cluster, without what its script does not need", function()
    local script = clusters.write("plain.lua", "print(package.loaded['mw.net'], package.loaded['mw.child_process'])")
    local master = [[
      cluster.setup_master { exec = %q }
      local worker = cluster.fork()
      worker:on("online", function() worker:disconnect() end)
      worker:on("exit", function(...) print(worker.exited_after_disconnect, ...) end)
    ]]
    assert.equal("nil\tnil\ntrue\t0\tnil\n", clusters.run(master:format(script)))
  end)

  it("that has nothing to do waits for its master's word", function()
    local printed = clusters.run [[
      local worker = cluster.fork()
      worker:on("online", function()
        worker:send "kept" -- by the channel: nobody listens
        mw.sleep(50, function()
          print(worker:is_dead())
          worker:disconnect()
        end)
      end)
      worker:on("exit", print)
    ]]
    assert.equal("false\n0\tnil\n", printed)
  end)

  -- CL-08
  it("runs the master's own script where none is set, with its arguments", function()
    -- Stops at once where a worker should take itself for a master.
    local script = clusters.write("both.lua", [[
      local cluster = require "mw.cluster"
      if os.getenv "SECOND" then
        print(cluster.is_worker, arg[1], arg[2], arg[3])
        return cluster.worker:disconnect()
      end
      local fork = cluster.fork
      fork { SECOND = "1" }
    ]])
    local result = run_mwrun { script, "a b", "" }
    assert.equal("true\ta b\t\tnil\n", result.stdout)
    assert.equal(0, result.status)
  end)

  it("can't run a script that came by -e or standard input", function()
    local code = "require('mw.cluster').fork { NEVER = 1 }"
    for _, result in ipairs { run_mwrun { "-e", code }, run_mwrun({ "-" }, { input = code }) } do
      assert.matches("fork: there is no script that a worker could run", result.stderr, 1, true)
      assert.equal(1, result.status)
    end
  end)

  it("has an id of its own and the smallest free slot", function()
    local printed = clusters.run [[
      local function show(worker) return worker.id .. ":" .. worker.slot end
      local first, second, third = cluster.fork(), cluster.fork(), cluster.fork()
      print(show(first), show(second), show(third), cluster.workers[2] == second)
      second:disconnect()
      local fourth = cluster.fork() -- while the second is there still
      print(show(fourth), cluster.workers[2] == second, show(cluster.fork()))
      first:kill "SIGKILL"
      first:once("exit", function()
        print(show(cluster.fork()), show(cluster._fork(nil, 9)), show(cluster.fork()))
        cluster.disconnect()
      end)
    ]]
    assert.equal("1:1\t2:2\t3:3\ttrue\n4:2\ttrue\t5:4\n6:1\t7:9\t8:5\n", printed)
  end)

  it("inherits a slot, which the one before then does not give back", function()
    local printed = clusters.run [[
      local first = cluster.fork()
      first:disconnect()
      local second = cluster.fork()
      first:on("exit", function()
        mw.timers.set_immediate(function()
          print(second.slot, cluster.fork().slot)
          cluster.disconnect()
        end)
      end)
    ]]
    assert.equal("1\t2\n", printed)
  end)

  it("knows its slot", function()
    local printed = clusters.run(
      "cluster._fork(nil, 5):on('message', function(slot) print(slot) cluster.disconnect() end)",
      "worker:send(worker.slot)"
    )
    assert.equal("5\n", printed)
  end)
end)

describe("The channel of a worker", function()
  it("may carry JSON", function()
    local printed = clusters.run(
      [[
        cluster.setup_master { serialization = "json" }
        local worker = cluster.fork()
        worker:on("message", function(message) print(message.text) worker:disconnect() end)
        worker:on("exit", function(code) print(worker.exited_after_disconnect, code) end)
      ]],
      "worker:send { text = 'here' }"
    )
    assert.equal("here\ntrue\t0\n", printed)
  end)
end)

describe("The module", function()
  it("is found in mw", function()
    assert.equal(require "mw.cluster", mw.cluster)
  end)

  it("has the functions of an emitter, which return it", function()
    local cluster, calls = mw.cluster, {}
    local function listener(value)
      calls[#calls + 1] = value
    end
    assert.equal(cluster, cluster.on("test", listener))
    assert.equal(1, cluster.listener_count "test")
    assert.is_true(cluster.emit("test", 1))
    assert.equal(cluster, cluster.off("test", listener))
    assert.is_false(cluster.emit("test", 2))
    assert.same({ 1 }, calls)
    mw.timers.set_immediate(cluster.emit, "test", 3)
    assert.equal(3, cluster.wait("test", 5000))
  end)
end)
