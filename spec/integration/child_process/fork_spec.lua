local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local run_mwrun = require "spec.support.run_mwrun"
local scratch = require "spec.support.scratch"
local uv = require "luv"

local fork = child_process.fork
local exec_path = mw.process.exec_path

local folder

before_each(function()
  folder = scratch.new()
end)

after_each(function()
  folder:remove()
end)

local function script(code)
  return folder:write("script.lua", code)
end

-- Prints what a program is told of its channel. (mwrun takes the variables out
-- before its script can see them.)
local channel_command = "echo $MW_CHANNEL_FD,$NODE_CHANNEL_FD,$NODE_CHANNEL_SERIALIZATION_MODE;"
  .. " readlink /proc/self/fd/${MW_CHANNEL_FD:-$NODE_CHANNEL_FD}"

-- The same by fork: what a child of these options prints.
local function channel_of(options)
  options.exec_path = "/bin/sh"
  return children.finish(fork(script(channel_command), options)).stdout
end

-- Runs a parent, with the script's path in its `arg[1]`, to its end.
local function run_parent(code, child_code, options)
  local args = options or {}
  args[#args + 1] = folder:write("parent.lua", 'local child_process = require "mw.child_process"\n' .. code)
  args[#args + 1] = script(child_code)
  return run_mwrun(args)
end

describe("A forked script", function()
  -- CP-FORK-02
  it("that is empty ends by itself, and so does the parent", function()
    local result = run_parent("child_process.fork(arg[1]):on('exit', print)", "")
    assert.equal("0\tnil\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)

  it("ends with its parent, unless it was made to be on its own", function()
    local code = [[
      local process = require "mw.process"
      print(child_process.fork(arg[1], { stdio = { "ignore", "ignore", "ignore", "ipc" }, exit_flush_timeout = 100, %s }).pid)
      io.stdout:flush()
      process.kill(process.pid, "SIGKILL")
    ]]
    local endless = 'require("mw").sleep(60000)'
    local pid = tonumber(run_parent(code:format "", endless).stdout)
    eventually(function()
      return not proc.is_alive(pid)
    end)
    for _, option in ipairs { "detached = true", "die_with_parent = false" } do
      pid = tonumber(run_parent(code:format(option), endless).stdout)
      assert.is_true(proc.is_alive(pid))
      mw.process.kill(pid, "SIGKILL")
    end
  end)

  it("hears of its parent's death before it is killed, stuck or not", function()
    local code = [[
      local process = require "mw.process"
      local options = { stdio = { "ignore", "ignore", "ignore", "ipc" }, exit_flush_timeout = 200 }
      local child = child_process.fork(arg[1], { arg[2] }, options)
      child:on("message", function()
        print(child.pid)
        io.stdout:flush()
        process.kill(process.pid, "SIGKILL")
      end)
    ]]
    for _, stuck in ipairs { "while true do end", "require('mw').sleep(60000)" } do
      local child_code = ("local process, stuck = require 'mw.process', function() %s end\n"):format(stuck)
        .. "process.on('disconnect', function() io.open(arg[0] .. '.heard', 'w'):close(); require('mw').go(stuck) end)\n"
        .. "process.send 'up'"
      local pid = tonumber(run_parent(code, child_code).stdout)
      eventually(function()
        return not proc.is_alive(pid)
      end)
      assert.equal("", folder:read "script.lua.heard")
    end
  end)

  -- CP-FORK-02
  it("gets its arguments as text", function()
    local child = fork(script "print(#arg, table.unpack(arg))", { "a b", "", 3, "-x" }, { silent = true })
    assert.equal("4\ta b\t\t3\t-x\n", children.finish(child).stdout)
    assert.equal("0\n", children.finish(fork(script "print(#arg)", { silent = true })).stdout)
  end)

  -- CP-FORK-02
  it("gives its status", function()
    assert.equal(42, children.finish(fork(script "os.exit(42)", { silent = true })).code)
    local result = children.finish(fork(script "error 'no good'", { silent = true }))
    assert.equal(1, result.code)
    assert.matches("no good", result.stderr, 1, true)
    assert.equal(1, children.finish(fork("/no/such/script.lua", { silent = true })).code)
  end)

  -- CP-FORK-10
  it("emits disconnect once, and exit before close", function()
    local result = children.finish(fork(script "", { silent = true }))
    local names = children.names(result.events):gsub("disconnect exit", "exit disconnect")
    assert.equal("spawn exit disconnect close", names)
    assert.same({ "disconnect", n = 0 }, children.event(result.events, "disconnect"))
    assert.is_false(result.child.connected)
    assert.is_nil(result.child.channel)
  end)
end)

describe("exec_path", function()
  local code = [[
    local process = require "mw.process"
    print(process.exec_path, process.argv[1])
  ]]

  -- CP-FORK-03
  it("chooses another binary, which the child reports as its own", function()
    local copy = folder.path .. "/another mwrun"
    assert(uv.fs_copyfile(exec_path, copy))
    local child = fork(script(code), { exec_path = copy, silent = true })
    assert.equal(copy, child.spawn_file)
    assert.equal(copy, child.spawn_args[1])
    assert.equal(("%s\t%s\n"):format(copy, copy), children.finish(child).stdout)
  end)

  -- CP-FORK-03
  it("is ours where none is given, whatever argv0 is", function()
    local child = fork(script(code), { argv0 = "another", silent = true })
    assert.equal(("%s\t%s\n"):format(exec_path, exec_path), children.finish(child).stdout)
  end)

  -- CP-FORK-03
  it("that is not there is an error event", function()
    local child = fork(script "", { exec_path = "/no/such/mwrun" })
    local events = children.record(child)
    children.closed(events)
    assert.equal("ENOENT", children.event(events, "error")[2].code)
    assert.equal("spawn /no/such/mwrun", children.event(events, "error")[2].syscall)
    assert.equal("error disconnect close", (children.names(events):gsub("disconnect error", "error disconnect")))
    assert.is_nil(child.pid)
    assert.is_false(child.connected)
  end)
end)

describe("exec_argv", function()
  local report = [[
    local process = require "mw.process"
    print(table.concat(process.exec_argv, " "), _G.json ~= nil, #arg)
  ]]
  local fork_it = "child_process.fork(arg[1])"

  -- CP-FORK-04
  it("is the parent's by default: runtime options, and no arguments of its script", function()
    assert.equal("\tfalse\t0\n", run_parent(fork_it, report).stdout)
    local result = run_parent(fork_it, report, { "-W", "-l", "json=mw.json" })
    assert.equal("-W -l json=mw.json\ttrue\t0\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  -- CP-FORK-04
  it("goes on to the children of children", function()
    local code = report .. [[
      if not arg[1] then
        require("mw.child_process").fork(arg[0], { "last" })
      end
    ]]
    assert.equal("-W\tfalse\t0\n-W\tfalse\t1\n", run_parent(fork_it, code, { "-W" }).stdout)
  end)

  -- CP-FORK-04
  it("has no -e of the parent", function()
    local path = script(report)
    local result = run_mwrun { "-W", "-e", ("print 'parent'; require('mw.child_process').fork(%q)"):format(path) }
    assert.equal("parent\n-W\tfalse\t0\n", result.stdout)
    assert.equal(0, result.status)

    result = run_parent(fork_it, report, { "-e", "print 'parent'", "-W" })
    assert.equal("parent\n-W\tfalse\t0\n", result.stdout)
  end)

  -- CP-FORK-04
  it("that is given takes the place of the parent's", function()
    local given = 'child_process.fork(arg[1], {}, { exec_argv = { "-l", "json=mw.json" } })'
    assert.equal("-l json=mw.json\ttrue\t0\n", run_parent(given, report, { "-W" }).stdout)
    given = "child_process.fork(arg[1], {}, { exec_argv = {} })"
    assert.equal("\tfalse\t0\n", run_parent(given, report, { "-W" }).stdout)
  end)
end)

describe("The stdio of fork", function()
  local talk = [[
    io.write(io.read "a", " to stdout\n")
    io.stderr:write "to stderr\n"
  ]]

  local function run_with(options)
    return run_mwrun({
      folder:write(
        "parent.lua",
        ([[
          print "before"
          local child = require("mw.child_process").fork(arg[1], {}, %s)
          if child.stdin then
            child.stdin:finish "piped"
          end
          child:on("close", function(code)
            print(code, child.stdin ~= nil, child.stdout ~= nil, child.stderr ~= nil)
          end)
        ]]):format(options)
      ),
      script(talk),
    }, { input = "inherited" })
  end

  -- CP-FORK-05
  it("is ours by default", function()
    for _, options in ipairs { "{}", "{ silent = false }", "{ stdio = 'inherit' }" } do
      local result = run_with(options)
      assert.equal("before\ninherited to stdout\n0\tfalse\tfalse\tfalse\n", result.stdout)
      assert.equal("to stderr\n", result.stderr)
    end
  end)

  -- CP-FORK-05
  it("is pipes with silent, and nothing shows up on our own output", function()
    for _, options in ipairs { "{ silent = true }", "{ stdio = 'pipe' }", "{ stdio = 'overlapped' }" } do
      local result = run_with(options)
      assert.equal("before\n0\ttrue\ttrue\ttrue\n", result.stdout)
      assert.equal("", result.stderr)
    end
    local child = fork(script(talk), { silent = true })
    child.stdin:finish "piped"
    local result = children.finish(child)
    assert.equal("piped to stdout\n", result.stdout)
    assert.equal("to stderr\n", result.stderr)
    assert.is_nil(child.stdio[3])
  end)

  -- CP-FORK-06
  it("gets the channel added where it is a word", function()
    for _, word in ipairs { "pipe", "ignore", "inherit", "overlapped" } do
      local child = fork(script "os.exit(require('mw.process').connected and 7 or 1)", { stdio = word })
      assert.is_true(child.connected)
      assert.equal(7, children.finish(child).code)
    end
    assert.equal(0, children.finish(fork(script(talk), { stdio = "ignore" })).code)
  end)

  -- CP-FORK-06
  it("that is a list without ipc raises, and nothing is started", function()
    local path = script(("io.open(%q, 'w')"):format(folder.path .. "/started"))
    for _, stdio in ipairs { {}, { "pipe", "pipe", "pipe" }, { 0, 1, 2, "pipe" }, { "inherit" } } do
      local message = misuse(function()
        fork(path, {}, { stdio = stdio })
      end)
      assert.matches("fork:", message, 1, true)
      assert.matches("ERR_CHILD_PROCESS_IPC_REQUIRED", message, 1, true)
    end
    assert.is_nil(folder:read "started")
  end)

  -- CP-FORK-06
  it("may have one channel only", function()
    local message = misuse(function()
      fork(script "", {}, { stdio = { "pipe", "pipe", "pipe", "ipc", "ipc" } })
    end)
    assert.matches("ERR_IPC_ONE_PIPE", message, 1, true)
    for _, word in ipairs { "ipc", "foo" } do
      misuse(function()
        fork(script "", {}, { stdio = word })
      end)
    end
  end)

  -- CP-FORK-06
  it("that is given beats silent", function()
    local result = run_with "{ silent = true, stdio = 'inherit' }"
    assert.equal("before\ninherited to stdout\n0\tfalse\tfalse\tfalse\n", result.stdout)
    result = run_with "{ silent = true, stdio = { 0, 'inherit', 'pipe', 'ipc' } }"
    assert.equal("before\ninherited to stdout\n0\tfalse\tfalse\ttrue\n", result.stdout)
    assert.equal("", result.stderr)

    local child = fork(script(talk), { silent = false, stdio = { "pipe", "pipe", "pipe", "ipc" } })
    child.stdin:finish "piped"
    assert.equal("piped to stdout\n", children.finish(child).stdout)
  end)
end)

describe("The channel", function()
  -- CP-FORK-07
  it("is a socket that the child's environment names", function()
    assert.matches("^3,,\nsocket:", channel_of { silent = true })
    assert.matches("^,3,json\nsocket:", channel_of { silent = true, serialization = "json" })
    assert.matches("^6,,\nsocket:", channel_of { stdio = { "ignore", "pipe", "inherit", "ignore", "pipe", "ignore", "ipc" } })
  end)

  -- CP-FORK-07
  it("is named beside what the environment given has", function()
    local env = { OTHER = "there" }
    local child = fork(script(channel_command .. "; echo $OTHER,$HOME"), { silent = true, env = env, exec_path = "/bin/sh" })
    assert.matches("^3,,\nsocket:.*\nthere,\n$", children.finish(child).stdout)
    assert.is_nil(env.MW_CHANNEL_FD)
  end)

  -- CP-FORK-07
  it("is not in the environment of a script that runs", function()
    local code = "for name in pairs(require('mw.process').env) do if name:find '_CHANNEL_' then print(name) end end"
    for _, serialization in ipairs { "msgpack", "json" } do
      local child = fork(script(code), { silent = true, serialization = serialization })
      assert.equal("", children.finish(child).stdout)
    end
  end)

  -- CP-FORK-07
  it("comes with spawn and an ipc item just so", function()
    local stdio = { "ignore", "pipe", "inherit", "ipc" }
    local child = child_process.spawn(exec_path, { script "print(require('mw.process').connected)" }, { stdio = stdio })
    assert.is_true(child.connected)
    local result = children.finish(child)
    assert.equal("true\n", result.stdout)
    assert.equal("spawn exit disconnect close", (children.names(result.events):gsub("disconnect exit", "exit disconnect")))

    result = children.sh(channel_command, { stdio = { "ignore", "pipe", "inherit", nil, nil, "ipc" } })
    assert.matches("^5,,\nsocket:", result.stdout)
    result = children.sh(channel_command, { stdio = stdio, serialization = "json" })
    assert.matches("^,3,json\nsocket:", result.stdout)
    -- Without the item there is none.
    child = child_process.spawn("sh", { "-c", channel_command })
    assert.is_false(child.connected)
    assert.is_nil(child.channel)
    assert.matches("^,,\n", children.finish(child).stdout)
  end)

  -- CP-FORK-07
  it("of one kind is the only one where the parent's environment names another", function()
    local env = { MW_CHANNEL_FD = "77", NODE_CHANNEL_FD = "78", NODE_CHANNEL_SERIALIZATION_MODE = "json" }
    local stdio = { "ignore", "pipe", "inherit", "ipc" }
    assert.matches("^3,,\nsocket:", children.sh(channel_command, { stdio = stdio, env = env }).stdout)
    assert.matches("^,3,json\nsocket:", children.sh(channel_command, {
      stdio = stdio,
      env = env,
      serialization = "json",
    }).stdout)
  end)

  -- CP-FORK-07
  it("is there while the child runs, and disconnect() closes it once", function()
    local child = fork(script "io.read 'a'", { silent = true })
    local events = children.record(child)
    assert.is_true(child.connected)
    assert.is_not_nil(child.channel)
    assert.is_true(child:disconnect())
    assert.is_false(child.connected)
    assert.is_nil(children.event(events, "disconnect"))
    assert.is_true(child:wait("disconnect", 5000))
    assert.is_nil(child.channel)
    local ok, err = child:disconnect()
    assert.is_nil(ok)
    assert.equal("ERR_IPC_DISCONNECTED", err.code)
    child.stdin:finish()
    children.closed(events)
    assert.equal("spawn disconnect exit close", children.names(events))
    assert.equal(0, child.exit_code)
  end)

  -- CP-FORK-07
  it("counts as closed as soon as disconnect() has returned", function()
    local child = fork(script "", { silent = true })
    assert.is_true(child:disconnect())
    local ok, err = child:disconnect()
    children.finish(child)
    assert.is_nil(ok)
    assert.equal("ERR_IPC_DISCONNECTED", err.code)
  end)

  -- CP-FORK-07
  it("that never was can't be closed", function()
    local child = child_process.spawn "true"
    local ok, err = child:disconnect()
    assert.is_nil(ok)
    assert.equal("ERR_IPC_DISCONNECTED", err.code)
    child:wait("close", 5000)
  end)

  -- CP-FORK-10
  it("is closed with the child, before close", function()
    local child = fork(script "io.read 'a'", { silent = true })
    local events = children.record(child)
    child:kill "SIGKILL"
    children.closed(events)
    assert.equal("spawn exit disconnect close", (children.names(events):gsub("disconnect exit", "exit disconnect")))
    assert.is_false(child.connected)
    local ok, err = child:disconnect()
    assert.is_nil(ok)
    assert.equal("ERR_IPC_DISCONNECTED", err.code)
  end)
end)
