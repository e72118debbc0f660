local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local run_mwrun = require "spec.support.run_mwrun"
local scratch = require "spec.support.scratch"
local timers = require "mw.timers"

local spawn_sync = child_process.spawn_sync
local exec_sync = child_process.exec_sync
local exec_file_sync = child_process.exec_file_sync
local MiB = 1024 * 1024

local function sh(command, opts)
  return spawn_sync("/bin/sh", { "-c", command }, opts)
end

-- Calls `fn`; returns what it returns and how many milliseconds it took.
local function timed(fn, ...)
  local start = mw.process.hrtime()
  local result = fn(...)
  return result, (mw.process.hrtime() - start) / 1000000
end

-- Prints `count` bytes.
local function zeros(count)
  return ("head -c %d /dev/zero"):format(count)
end

describe("The result of a synchronous call", function()
  -- CP-SYNC-01
  it("has pid, output, stdout, stderr, status and signal, and no error on success", function()
    local result = sh "echo out; echo err >&2; echo $$; exit 0"
    assert.same({
      pid = result.pid,
      output = { "out\n" .. result.pid .. "\n", "err\n" },
      stdout = "out\n" .. result.pid .. "\n",
      stderr = "err\n",
      status = 0,
    }, result)
    assert.equal("integer", math.type(result.pid))
    assert.is_nil(result.output[0])
  end)

  -- CP-SYNC-01
  it("has the status, or the signal and no status", function()
    local result = sh "exit 7"
    assert.equal(7, result.status)
    assert.is_nil(result.signal)
    assert.is_nil(result.error)

    result = sh "kill -KILL $$"
    assert.is_nil(result.status)
    assert.equal("SIGKILL", result.signal)
    assert.is_nil(result.error)
  end)

  -- CP-SYNC-01
  it("has the output by number of descriptor, those above 2 too", function()
    local result = sh("echo three >&3; echo five >&5; echo out", { stdio = { "ignore", "pipe", "ignore", "pipe", nil, "pipe" } })
    assert.same({ [1] = "out\n", [3] = "three\n", [5] = "five\n" }, result.output)
    assert.equal("out\n", result.stdout)
    assert.is_nil(result.stderr)

    result = sh("echo out", { stdio = "ignore" })
    assert.same({}, result.output)
    assert.is_nil(result.stdout)
    assert.equal(0, result.status)
  end)

  -- CP-SYNC-01
  it("has empty texts where nothing came", function()
    local result = spawn_sync "true"
    assert.same({ "", "" }, result.output)
    assert.equal("", result.stdout)
    assert.equal("", result.stderr)
  end)

  -- CP-SYNC-01
  it("has what a grandchild prints after the end of the child", function()
    local result = sh "(sleep 0.1; echo late) & echo early"
    assert.equal("early\nlate\n", result.stdout)
    assert.equal(0, result.status)
  end)

  -- CP-SYNC-09
  it("has the bytes as they came", function()
    local bytes = {}
    for byte = 0, 255 do
      bytes[#bytes + 1] = string.char(byte)
    end
    local text = table.concat(bytes)
    assert.equal(text, spawn_sync("cat", { input = text }).stdout)
  end)
end)

describe("A synchronous call of what is not there", function()
  -- CP-SYNC-02
  it("has the error in the result and raises nothing", function()
    local missing = "/no/such/program"
    local calls = {
      spawn_sync = spawn_sync(missing, { "a", "b" }),
      exec_file_sync = exec_file_sync(missing, { "a", "b" }),
    }
    for _, result in pairs(calls) do
      assert.equal("ENOENT", result.error.code)
      assert.equal("spawnSync " .. missing, result.error.syscall)
      assert.equal(missing, result.error.path)
      assert.same({ "a", "b" }, result.error.spawn_args)
      assert.equal("ENOENT: no such file or directory, spawnSync " .. missing, tostring(result.error))
      assert.is_nil(result.pid)
      assert.is_nil(result.status)
      assert.is_nil(result.signal)
      assert.is_nil(result.stdout)
    end
    assert.equal("ENOENT", spawn_sync("no-such-program-anywhere").error.code)
  end)

  -- CP-SYNC-02
  it("tells a folder that is not there", function()
    local result = spawn_sync("true", {}, { cwd = "/no/such/folder" })
    assert.equal("ENOENT", result.error.code)
    assert.equal("spawnSync true", result.error.syscall)
    assert.matches("/no/such/folder", result.error.message, 1, true)
  end)
end)

describe("The timeout of a synchronous call", function()
  -- CP-SYNC-03
  it("is ETIMEDOUT and the signal, and no status", function()
    local result, took = timed(spawn_sync, "sleep", { "60" }, { timeout = 200 })
    assert.equal("ETIMEDOUT", result.error.code)
    assert.equal("spawnSync sleep", result.error.syscall)
    assert.same({ "60" }, result.error.spawn_args)
    assert.equal("SIGTERM", result.signal)
    assert.is_nil(result.status)
    assert.is_true(took >= 200 and took < 30000)
    assert.is_false(proc.is_alive(result.pid))
  end)

  -- CP-SYNC-03
  it("sends the signal that was named", function()
    for name, signal in pairs { SIGKILL = "SIGKILL", SIGINT = "sigint", SIGUSR1 = 10 } do
      local result = spawn_sync("sleep", { "60" }, { timeout = 20, kill_signal = signal })
      assert.equal("ETIMEDOUT", result.error.code)
      assert.equal(name, result.signal)
      assert.is_nil(result.status)
    end
  end)

  -- CP-SYNC-03
  it("waits for the real end of a child that catches the signal", function()
    local folder = scratch.new()
    local script = "trap 'trap : TERM; sleep 0.3; touch done; exit 5' TERM; echo ready; while :; do sleep 0.01; done"
    local result = sh(script, { timeout = 200, cwd = folder.path })
    assert.equal("ETIMEDOUT", result.error.code)
    assert.equal("ready\n", result.stdout)
    assert.equal(5, result.status)
    assert.is_nil(result.signal)
    assert.equal("", folder:read "done")
    folder:remove()
  end)

  -- CP-SYNC-03
  it("ends the wait for a grandchild that holds the pipe", function()
    local result, took = timed(sh, "sleep 60 & echo $!; exit 3", { timeout = 200 })
    local grandchild = tonumber(result.stdout)
    assert.equal("ETIMEDOUT", result.error.code)
    assert.equal(3, result.status)
    assert.is_nil(result.signal)
    assert.is_true(took < 30000)
    assert.is_true(proc.is_alive(grandchild))
    mw.process.kill(grandchild, "SIGKILL")
  end)

  -- CP-SYNC-03
  it("says nothing where the child ends in time, nor where it is 0", function()
    assert.is_nil(spawn_sync("true", { timeout = 10000 }).error)
    local result = sh("sleep 0.05", { timeout = 0 })
    assert.is_nil(result.error)
    assert.equal(0, result.status)
  end)
end)

describe("max_buffer of a synchronous call", function()
  -- CP-SYNC-04
  it("is 1 MiB by default, and exactly that passes", function()
    for _, call in ipairs { sh, exec_sync } do
      local result = call(zeros(MiB))
      assert.is_nil(result.error)
      assert.equal(MiB, #result.stdout)

      result = call(zeros(MiB + 1))
      assert.equal("ENOBUFS", result.error.code)
      assert.equal(MiB, #result.stdout)
    end
  end)

  -- CP-SYNC-04
  it("cuts the output to exactly as much and ends the child", function()
    for _, size in ipairs { 0, 1, 11, 65536, 100000 } do
      local result = spawn_sync("yes", { max_buffer = size })
      assert.equal("ENOBUFS", result.error.code)
      assert.equal("spawnSync yes", result.error.syscall)
      assert.equal(("y\n"):rep(size // 2 + 1):sub(1, size), result.stdout)
      assert.equal("SIGTERM", result.signal)
      assert.is_nil(result.status)
    end
  end)

  -- CP-SYNC-04
  it("holds for each stream alone, and may have no end", function()
    local result = sh("printf 12345; printf 123456 >&2", { max_buffer = 5 })
    assert.equal("ENOBUFS", result.error.code)
    assert.equal("12345", result.stdout)
    assert.equal("12345", result.stderr)
    assert.is_nil(sh("printf 12345; printf 12345 >&2", { max_buffer = 5 }).error)
    assert.equal(3 * MiB, #sh(zeros(3 * MiB), { max_buffer = math.huge }).stdout)
  end)

  -- CP-SYNC-04
  it("ends the child by the signal that was named", function()
    assert.equal("SIGKILL", spawn_sync("yes", { max_buffer = 10, kill_signal = "SIGKILL" }).signal)
    local result = exec_file_sync("yes", { max_buffer = 10 })
    assert.equal("ENOBUFS", result.error.code)
    assert.equal("y\ny\ny\ny\ny\n", result.stdout)
  end)
end)

describe("The input of a synchronous call", function()
  -- CP-SYNC-05
  it("may be 10 MB through a child that echoes", function()
    local block = {}
    for index = 1, 1000 do
      block[index] = ("%09d\n"):format(index)
    end
    local input = table.concat(block):rep(1000)
    local result = spawn_sync("cat", { input = input, max_buffer = 2 * #input })
    assert.is_nil(result.error)
    assert.equal(10000000, #result.stdout)
    assert.is_true(input == result.stdout)
  end)

  -- CP-SYNC-05
  it("is all that stdin has, and its end", function()
    assert.equal("", spawn_sync("cat").stdout)
    assert.equal("", spawn_sync("cat", { input = "" }).stdout)
    assert.equal("a\0b\255", spawn_sync("cat", { input = "a\0b\255" }).stdout)
    assert.equal("words", exec_sync("cat", { input = "words" }).stdout)
    assert.equal("words", exec_file_sync("cat", { input = "words" }).stdout)
  end)

  -- CP-SYNC-05
  it("comes before what stdio says of stdin", function()
    for _, first in ipairs { "ignore", "inherit", "pipe", 0 } do
      local result = spawn_sync("cat", { input = "given", stdio = { first, "pipe" } })
      assert.equal("given", result.stdout)
      assert.is_nil(result.output[0])
    end
    assert.equal(0, spawn_sync("cat", { input = "given", stdio = "ignore" }).status)
  end)

  -- CP-SYNC-05
  it("leaves the stream alone that stands for stdin in stdio", function()
    local other = child_process.spawn("cat", {}, { stdio = { "pipe", "pipe", "inherit" } })
    local text = children.collect(other.stdout)
    assert.equal("given", spawn_sync("cat", { input = "given", stdio = { other.stdout, "pipe" } }).stdout)
    other.stdin:finish "goes on"
    assert.equal(0, other:wait("close", 5000))
    assert.equal("goes on", text())
  end)

  -- CP-SYNC-05
  it("that the child does not read is no error", function()
    local result = spawn_sync("true", { input = ("x"):rep(MiB) })
    assert.is_nil(result.error)
    assert.equal(0, result.status)
    result = sh("exec <&-; sleep 0.05; echo done", { input = ("x"):rep(MiB) })
    assert.is_nil(result.error)
    assert.equal("done\n", result.stdout)
  end)

  -- CP-SYNC-05
  it("is bytes and nothing else", function()
    for _, value in ipairs { 1, 1.5, true, false, {}, print } do
      for name, call in pairs { spawn_sync = spawn_sync, exec_sync = exec_sync, exec_file_sync = exec_file_sync } do
        local message = misuse(function()
          call("true", { input = value })
        end)
        assert.matches(name .. ":", message, 1, true)
        assert.matches("'input'", message, 1, true)
      end
    end
  end)
end)

describe("inherit in a synchronous call", function()
  -- CP-SYNC-06
  it("writes to our own descriptors, behind what was printed before", function()
    local result = run_mwrun {
      "-e",
      [[
        local child_process = require "mw.child_process"
        io.stdout:setvbuf "full"
        print "1 printed"
        child_process.spawn_sync("echo", { "2 by the child" }, { stdio = "inherit" })
        io.write "3 written\n"
        require("mw.process").stdout:write "4 to the stream\n"
        child_process.exec_sync("echo 5 by a shell; echo to stderr >&2", { stdio = { "inherit", 1, "inherit" } })
        print "6 printed"
        child_process.spawn_sync("sh", { "-c", "echo 7 as descriptor 4 >&4" }, { stdio = { [5] = 1 } })
        print "8 printed"
      ]],
    }
    assert.equal(
      "1 printed\n2 by the child\n3 written\n4 to the stream\n5 by a shell\n"
        .. "6 printed\n7 as descriptor 4\n8 printed\n",
      result.stdout
    )
    assert.equal("to stderr\n", result.stderr)
    assert.equal(0, result.status)
  end)

  -- CP-SYNC-06
  it("has no output", function()
    local result = spawn_sync("true", { stdio = "inherit" })
    assert.same({ pid = result.pid, output = {}, status = 0 }, result)
  end)

  -- CP-SYNC-06
  it("reads our own stdin", function()
    local code = [[print(require("mw.child_process").spawn_sync("cat", { stdio = { "inherit", "pipe" } }).stdout)]]
    assert.equal("of the parent\n", run_mwrun({ "-e", code }, { input = "of the parent" }).stdout)
  end)

  -- CP-SYNC-06
  it("may be a stream of ours, which the child gets blocking and we get back", function()
    for _, number in ipairs { 0, 3 } do
      local other = child_process.spawn("sh", { "-c", "sleep 0.1; echo first; read line; echo $line" })
      local text = children.collect(other.stdout)
      local stdio = { "ignore", "pipe", "pipe" }
      stdio[number + 1] = other.stdout
      local result = sh("head -n1 <&" .. number, { stdio = stdio })
      assert.equal("first\n", result.stdout)
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
      other.stdin:finish "second\n"
      other.stdout:resume()
      assert.equal(0, other:wait("close", 5000))
      assert.equal("second\n", text())
    end
  end)

  -- CP-SYNC-06
  it("can't be a channel", function()
    local message = misuse(function()
      spawn_sync("true", { stdio = { "pipe", "pipe", "pipe", "ipc" } })
    end)
    assert.matches("ERR_IPC_SYNC_FORK", message, 1, true)
  end)
end)

describe("The stderr of exec_sync and exec_file_sync", function()
  local calls = {
    [[exec_sync("echo out; echo oops >&2; exit %d"%s)]],
    [[exec_file_sync("sh", { "-c", "echo out; echo oops >&2; exit %d" }%s)]],
  }

  local function run(call, status, options)
    local code = ('io.stdout:setvbuf "full"; print "before"; local result = require("mw.child_process").%s\n'):format(
      call:format(status, options)
    )
    return run_mwrun { "-e", code .. "io.write(tostring(result.stdout), tostring(result.stderr), tostring(result.status))" }
  end

  -- CP-SYNC-08
  it("goes to ours too, and is kept", function()
    for _, call in ipairs(calls) do
      for status = 0, 1 do
        local result = run(call, status, "")
        assert.equal("oops\n", result.stderr)
        assert.equal("before\nout\noops\n" .. status, result.stdout)
      end
    end
  end)

  -- CP-SYNC-08
  it("does not where stdio is given", function()
    for _, call in ipairs(calls) do
      local result = run(call, 0, ", { stdio = 'pipe' }")
      assert.equal("", result.stderr)
      assert.equal("before\nout\noops\n0", result.stdout)

      result = run(call, 0, ", { stdio = { 'pipe', 'pipe', 'inherit' } }")
      assert.equal("oops\n", result.stderr)
      assert.equal("before\nout\nnil0", result.stdout)

      result = run(call, 0, ", { stdio = 'ignore' }")
      assert.equal("", result.stderr)
      assert.equal("before\nnilnil0", result.stdout)
    end
  end)

  -- CP-SYNC-08
  it("does not come from spawn_sync", function()
    local result = run_mwrun { "-e", [[require("mw.child_process").spawn_sync("sh", { "-c", "echo oops >&2" })]] }
    assert.equal("", result.stderr)
  end)
end)

describe("A status other than 0", function()
  -- CP-SYNC-08
  it("is an error of exec_sync and exec_file_sync, which has all that came", function()
    local command = "echo out; echo oops >&2; exit 9"
    local results = {
      [command] = exec_sync(command, { stdio = "pipe" }),
      ["sh -c " .. command] = exec_file_sync("sh", { "-c", command }, { stdio = "pipe" }),
    }
    for cmd, result in pairs(results) do
      assert.equal(9, result.status)
      assert.equal(9, result.error.code)
      assert.equal(("Command failed: %s\noops\n"):format(cmd), result.error.message)
      assert.equal(result.error.message, tostring(result.error))
      assert.equal(cmd, result.error.cmd)
      assert.equal(9, result.error.status)
      assert.equal("out\n", result.error.stdout)
      assert.equal("oops\n", result.error.stderr)
      assert.equal("out\n", result.stdout)
    end
    assert.equal("Command failed: exit 3", exec_sync("exit 3").error.message)
    assert.is_nil(exec_sync("exit 0").error)
    assert.is_nil(exec_file_sync("true").error)
  end)

  -- CP-SYNC-08
  it("is an error too where a signal ended the command", function()
    local result = exec_sync "kill -KILL $$"
    assert.equal("Command failed: kill -KILL $$", result.error.message)
    assert.equal("SIGKILL", result.error.signal)
    assert.equal("SIGKILL", result.signal)
    assert.is_nil(result.status)
    assert.is_nil(result.error.code)
  end)

  -- CP-SYNC-08
  it("is 127 for a command that the shell does not find", function()
    local result = exec_sync("no-such-program-anywhere", { stdio = "pipe" })
    assert.equal(127, result.status)
    assert.equal(127, result.error.code)
  end)
end)

describe("A synchronous call", function()
  -- CP-SYNC-09
  it("takes cwd, env, argv0 and shell as spawn does", function()
    local here = mw.process.cwd()
    local there = scratch.new()
    assert.equal(there.path .. "\n", spawn_sync("pwd", { cwd = there.path }).stdout)
    assert.equal(here, mw.process.cwd())
    there:remove()

    assert.equal("A=1\n", spawn_sync("/usr/bin/env", { env = { A = 1 } }).stdout)
    mw.process.env.MWRUN_SYNC_SPEC = "inherited"
    local inherited = exec_sync "echo $MWRUN_SYNC_SPEC"
    mw.process.env.MWRUN_SYNC_SPEC = nil
    assert.equal("inherited\n", inherited.stdout)

    assert.equal("other\n", spawn_sync("/bin/sh", { "-c", "echo $0" }, { argv0 = "other" }).stdout)
    assert.equal("a b\n", spawn_sync("echo", { "a", " b" }, { shell = true }).stdout)
    assert.equal("a  b\n", spawn_sync("echo", { "a  b" }).stdout)
    local folder = scratch.new()
    local shell = folder:write("shell", '#!/bin/sh\necho "shell of our own: $2"\n', 493)
    assert.equal("shell of our own: a command\n", exec_sync("a command", { shell = shell }).stdout)
    folder:remove()
  end)

  -- CP-SYNC-09
  it("takes uid and gid as spawn does", function()
    if mw.process.getuid() ~= 0 then
      local result = spawn_sync("true", { uid = 0, gid = 0 })
      assert.equal("EPERM", result.error.code)
      return
    end
    local result = exec_sync("echo $(id -u) $(id -g) $(id -G)", { uid = 65534, gid = 65534, cwd = "/" })
    assert.equal("65534 65534 65534\n", result.stdout)
  end)

  -- CP-SYNC-09
  it("takes umask, limits and a group of its own as spawn does", function()
    local result = exec_sync("umask; ulimit -n; ps -o pgid= -p $$ | tr -d ' '; echo $$", {
      umask = 63,
      limits = { nofile = 64 },
      process_group = true,
    })
    assert.equal(("0077\n64\n%d\n%d\n"):format(result.pid, result.pid), result.stdout)
  end)

  -- CP-SYNC-09
  it("refuses options that only others have, and changes no table", function()
    for _, name in ipairs { "detached", "signal", "serialization", "silent", "no_such" } do
      local message = misuse(function()
        spawn_sync("true", { [name] = true })
      end)
      assert.matches(name, message, 1, true)
    end
    local opts, args = { input = "x", stdio = { "ignore" }, env = { A = 1 } }, { 1, 2 }
    spawn_sync("true", args, opts)
    exec_sync("true", opts)
    assert.same({ input = "x", stdio = { "ignore" }, env = { A = 1 } }, opts)
    assert.same({ 1, 2 }, args)
  end)

  -- CP-SYNC-10
  it("lets nothing else happen meanwhile", function()
    local seen = {}
    local interval = timers.set_interval(function()
      seen[#seen + 1] = "interval"
    end, 1)
    timers.set_immediate(function()
      seen[#seen + 1] = "immediate"
    end)
    mw.process.next_tick(function()
      seen[#seen + 1] = "tick"
    end)
    mw.go(function()
      seen[#seen + 1] = "task"
    end)
    local result = sh "sleep 0.1; echo out"
    assert.equal("out\n", result.stdout)
    assert.same({}, seen)
    eventually(function()
      return table.concat(seen, " "):find "immediate" and table.concat(seen, " "):find "interval"
    end)
    timers.clear_interval(interval)
  end)

  -- CP-SYNC-10
  it("steals no other child's end", function()
    local list = {}
    for code = 1, 20 do
      local child = child_process.spawn("sh", { "-c", "echo text; exit " .. code })
      list[code] = { events = children.record(child), text = children.collect(child.stdout), child = child }
    end
    local result = sh "sleep 0.2; exit 77"
    assert.equal(77, result.status)
    for _, one in ipairs(list) do
      eventually(function()
        return not proc.is_alive(one.child.pid)
      end)
    end
    for code, one in ipairs(list) do
      children.closed(one.events)
      assert.same({ "exit", n = 2, code }, children.event(one.events, "exit"))
      assert.equal("spawn exit close", children.names(one.events))
      assert.equal("text\n", one.text())
    end
  end)

  -- CP-SYNC-10
  it("has emitted nothing of a child that ended meanwhile when it returns", function()
    local child = child_process.spawn("sh", { "-c", "exit 4" })
    local events = children.record(child)
    sh "sleep 0.1"
    assert.is_false(proc.is_alive(child.pid))
    assert.same({}, events)
    assert.equal(4, child:wait("exit", 5000))
    children.closed(events)
  end)

  -- CP-SYNC-10
  it("may be made in a task and in a handler", function()
    local child = child_process.spawn("sh", { "-c", "exit 4" })
    local inner
    child:on("exit", function()
      inner = exec_sync("exit 5").status
    end)
    local events = children.record(child)
    local task = mw.go(function()
      return exec_sync("exit 6").status
    end)
    assert.equal(6, task:join())
    children.closed(events)
    assert.equal(5, inner)
  end)

  it("leaves nothing behind, 200 times", function()
    exec_sync "true"
    local descriptors, handles = leaks.descriptors(), leaks.handle_count()
    local kids = #leaks.children()
    for turn = 1, 50 do
      assert.equal("x", spawn_sync("cat", { input = "x" }).stdout)
      assert.equal(turn, exec_sync("exit " .. turn).status)
      assert.equal("ENOENT", spawn_sync("/no/such/program").error.code)
      assert.equal("ENOBUFS", spawn_sync("yes", { max_buffer = 1 }).error.code)
    end
    assert.same(descriptors, leaks.descriptors())
    assert.equal(handles, leaks.handle_count())
    assert.equal(kids, #leaks.children())
  end)
end)
