local clusters = require "spec.support.clusters"
local process = require "mw.process"
local run_mwrun = require "spec.support.run_mwrun"

after_each(clusters.clean)

-- Runs a master that sets up nothing by itself, with arguments.
local function run(code, ...)
  local script = clusters.write("own.lua", "local cluster = require 'mw.cluster' local mw = require 'mw'\n" .. code)
  local result = run_mwrun { "-W", script, ... }
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout, script
end

-- The environment with one more variable.
local function environment(name, value)
  local env = {}
  for key, text in pairs(process.env) do
    env[key] = text
  end
  env[name] = value
  return env
end

describe("The settings", function()
  -- CL-03
  it("are empty before they are used, then our script, arguments and options", function()
    local printed, script = run(
      [[
        print(next(cluster.settings))
        mw.process.argv[4] = "changed"
        cluster.setup_master()
        local s = cluster.settings
        print(s.exec, table.concat(s.args, " "), table.concat(s.exec_argv, " "), s.silent, s.cwd, s.scheduling_policy)
      ]],
      "first",
      "second"
    )
    assert.equal(("nil\n%s\tfirst changed\t-W\tfalse\tnil\tnil\n"):format(script), printed)
  end)

  -- CL-04
  it("keep what a later call does not name", function()
    local printed = run [[
      cluster.setup_master { exec = "a.lua", args = { "x" }, silent = true }
      cluster.setup_master { exec = "b.lua" }
      cluster.setup_master()
      local s = cluster.settings
      print(s.exec, s.args[1], s.silent)
    ]]
    assert.equal("b.lua\tx\ttrue\n", printed)
  end)

  it("don't change with the caller's table, nor change it", function()
    local printed = run [[
      local given = { args = { "x" } }
      cluster.setup_master(given)
      given.args[1] = "y"
      cluster.settings.args[2] = "z"
      print(cluster.settings.args[1], given.exec, #given.args)
    ]]
    assert.equal("x\tnil\t1\n", printed)
  end)

  -- CL-05
  it("are told by setup, each time, once the call has returned", function()
    local printed = run [[
      cluster.setup_master { args = { "1" } }
      local called = false
      cluster.on("setup", function(settings, ...)
        called = true
        print(settings.args[1], settings == cluster.settings, select("#", ...))
      end)
      cluster.setup_master { args = { "2" } }
      print(called)
    ]]
    assert.equal("false\n1\tfalse\t0\n2\ttrue\t0\n", printed)
  end)

  -- CL-05
  it("are told by fork too", function()
    local printed = clusters.run [[
      cluster.on("setup", function(settings) print("setup", settings.exec == arg[1]) end)
      cluster.on("fork", function(worker) print("fork", worker.id) end)
      mw.timers.set_immediate(function()
        cluster.fork()
        cluster.fork()
        cluster.disconnect()
      end)
    ]]
    assert.equal("setup\ttrue\nsetup\ttrue\nfork\t1\nsetup\ttrue\nfork\t2\n", printed)
  end)

  -- CL-06
  it("count for later forks only", function()
    local printed = clusters.run(
      [[
        cluster.setup_master { args = { "first" }, cwd = "/" }
        cluster.fork()
        cluster.setup_master { args = { "second", 2 }, cwd = "/usr", exec_argv = { "-W" } }
        cluster.on("message", function(worker, message)
          print(worker.id, message)
          worker:disconnect()
          if worker.id == 1 then
            cluster.fork()
          end
        end)
      ]],
      "worker:send(table.concat(arg, ',') .. ' ' .. process.cwd() .. ' ' .. table.concat(process.exec_argv))"
    )
    assert.equal("1\tfirst / \n2\tsecond,2 /usr -W\n", printed)
  end)

  -- CL-06
  it("make pipes of the standard streams, or of others", function()
    local printed = clusters.run(
      [[
        cluster.setup_master { silent = true }
        local silent = cluster.fork()
        cluster.setup_master { stdio = { "ignore", "inherit", "inherit", "ipc", "pipe" } }
        local piped = cluster.fork()
        silent.process.stdout:on("data", function(data)
          print("silent", data)
          piped.process.stdio[4]:finish "by a pipe"
        end)
      ]],
      [[
        if worker.id == 1 then
          io.write "heard"
          worker:disconnect()
        else
          local stream = assert(process.fd(4)).stream
          mw.go(function()
            print(stream:read())
            stream:destroy()
            worker:disconnect()
          end)
        end
      ]]
    )
    assert.equal("silent\theard\nby a pipe\n", printed)
  end)

  -- CL-06
  it("name another binary, user and group", function()
    local master = [[
      cluster.setup_master { exec_path = "/bin/sh", exec_argv = { "-c", "id -u; id -g; echo $0 $MW_UNIQUE_ID" } }
      cluster.setup_master { exec = "name", uid = %d, gid = %d }
      cluster.fork()
    ]]
    local printed = clusters.run(master:format(process.getuid(), process.getgid()))
    assert.equal(("%d\n%d\nname 1\n"):format(process.getuid(), process.getgid()), printed)
  end)

  -- CL-07
  it("add the environment of fork to ours", function()
    local printed = clusters.run(
      [[
        process.env.KEPT, process.env.CHANGED = "kept", "before"
        cluster.fork { CHANGED = "after", ADDED = 1, MW_UNIQUE_ID = 7 }
      ]],
      "print(os.getenv 'KEPT', os.getenv 'CHANGED', os.getenv 'ADDED', worker.id) worker:disconnect()"
    )
    assert.equal("kept\tafter\t1\t1\n", printed)
  end)
end)

describe("What can be no setting", function()
  it("raises, and changes nothing", function()
    for given, message in pairs {
      ["{ exek = 'a' }"] = "setup_master: unknown option 'exek', did you mean 'exec'?",
      ["{ exec = 1 }"] = "setup_master: bad option 'exec'",
      ["{ exec = 'a\\0b' }"] = "setup_master: bad option 'exec'",
      ["{ args = 'a' }"] = "setup_master: bad option 'args'",
      ["{ preload = 'a' }"] = "setup_master: bad option 'preload'",
      ["{ serialization = 'x' }"] = "setup_master: bad option 'serialization'",
      ["{ scheduling_policy = 'x' }"] = "setup_master: bad option 'scheduling_policy'",
      ["1"] = "setup_master: bad argument 'settings'",
    } do
      local code = "print(select(2, pcall(cluster.setup_master, %s))) print(next(cluster.settings))"
      local printed, script = run(code:format(given))
      local place = ("%s:2: "):format(script)
      assert.equal(place .. message, printed:sub(1, #place + #message))
      assert.matches("\nnil\n$", printed)
    end
  end)

  it("raises at fork where only that can tell, and starts nothing", function()
    local printed = clusters.run [[
      cluster.setup_master { stdio = { "pipe", "pipe" } }
      print(select(2, pcall(cluster.fork)):match "ERR_CHILD_PROCESS_IPC_REQUIRED", next(cluster.workers))
      cluster.setup_master { stdio = "inherit" }
      print(select(2, pcall(cluster.fork, 1)):match "bad argument 'env'", next(cluster.workers))
      print(select(2, pcall(cluster.fork, { ["a=b"] = 1 })):match "bad option 'env'", next(cluster.workers))
      print(cluster.fork().id)
      cluster.disconnect()
    ]]
    assert.equal("ERR_CHILD_PROCESS_IPC_REQUIRED\tnil\nbad argument 'env'\tnil\nbad option 'env'\tnil\n1\n", printed)
  end)
end)

describe("The policy", function()
  local show = "print(cluster.scheduling_policy)"

  -- CLN-05
  it("is round robin where nothing else is said", function()
    assert.equal("rr\n", run(show))
    assert.equal("true\n", run "print(cluster.scheduling_policy == cluster.SCHED_RR)")
  end)

  -- CLN-05
  it("comes from the environment", function()
    for _, word in ipairs { "rr", "none", "least", "reuseport", "sticky" } do
      local script = clusters.write("own.lua", "local cluster = require 'mw.cluster' " .. show)
      local result = run_mwrun({ script }, { env = environment("MW_CLUSTER_SCHED_POLICY", word) })
      assert.equal(word .. "\n", result.stdout)
    end
  end)

  -- CLN-05
  it("of the environment is one of the words", function()
    for _, word in ipairs { "", "RR", "roundrobin" } do
      local result = run_mwrun({ "-e", "require 'mw.cluster'" }, { env = environment("MW_CLUSTER_SCHED_POLICY", word) })
      assert.matches(("MW_CLUSTER_SCHED_POLICY: unknown policy %q ('rr', 'none'"):format(word), result.stderr, 1, true)
      assert.equal(1, result.status)
    end
  end)

  -- CLN-05
  it("is what counts at the first setup, and stays so", function()
    local printed = run [[
      local listeners = require "mw.cluster.master.listeners"
      function listeners.set_policy(policy) print("set", policy) end
      cluster.scheduling_policy = cluster.SCHED_LEAST
      cluster.setup_master { args = {} }
      cluster.scheduling_policy = cluster.SCHED_NONE
      cluster.setup_master { scheduling_policy = cluster.SCHED_STICKY }
      print(cluster.settings.scheduling_policy)
    ]]
    assert.equal("set\tleast\nleast\n", printed)
  end)

  -- CLN-05
  it("may be a setting or a function, and nothing else", function()
    local printed = run [[
      cluster.scheduling_policy = "roundrobin"
      print((select(2, pcall(cluster.setup_master)):match "bad argument 'scheduling_policy'"))
      local function choose() end
      cluster.setup_master { scheduling_policy = choose }
      print(cluster.scheduling_policy == choose)
    ]]
    assert.equal("bad argument 'scheduling_policy'\ntrue\n", printed)
  end)
end)
