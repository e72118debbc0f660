local child_process = require "mw.child_process"
local children = require "spec.support.children"
local errors = require "mw.error"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local run_mwrun = require "spec.support.run_mwrun"
local uncaught = require "spec.support.uncaught"

local exec, exec_file = child_process.exec, child_process.exec_file

local overflow = "ERR_CHILD_PROCESS_STDIO_MAXBUFFER"

-- A callback that counts its calls: `calls[n]` is what came with the nth.
local function recorder()
  local calls = {}
  return calls, function(...)
    calls[#calls + 1] = table.pack(...)
  end
end

-- Waits for the callback and for all that follows it; returns what came with
-- its only call.
local function only_call(calls, child)
  eventually(function()
    return calls[1]
  end)
  child:wait "close"
  mw.sleep(1)
  assert.equal(1, #calls)
  assert.equal(3, calls[1].n)
  return table.unpack(calls[1], 1, 3)
end

-- Runs with a callback to the end: err, stdout, stderr and the child.
local function run(start, ...)
  local arguments = table.pack(...)
  local calls, callback = recorder()
  arguments[arguments.n + 1] = callback
  local child = start(table.unpack(arguments, 1, arguments.n + 1))
  assert.same({}, calls)
  local err, stdout, stderr = only_call(calls, child)
  return err, stdout, stderr, child
end

local function milliseconds_of(fn)
  local start = mw.process.hrtime()
  fn()
  return (mw.process.hrtime() - start) / 1000000
end

-- Kills all processes of a command, also those that it starts meanwhile.
local function kill_marked(mark)
  eventually(function()
    local pids = proc.with_environment(mark)
    for _, pid in ipairs(pids) do
      mw.process.kill(pid, "SIGKILL")
    end
    return #pids == 0
  end)
end

local mark_count = 0

-- A variable that marks a command's processes, and the environment with it.
local function marked()
  mark_count = mark_count + 1
  local value = ("%d-%d"):format(mw.process.pid, mark_count)
  return "MWRUN_EXEC_SPEC=" .. value, { PATH = mw.process.env.PATH, MWRUN_EXEC_SPEC = value }
end

describe("A command that succeeds", function()
  -- CP-EXEC-01
  it("gives its callback nil and both outputs, byte for byte", function()
    local err, stdout, stderr = run(exec, [[printf 'out\n\n'; printf 'err\000\377' >&2]])
    assert.is_nil(err)
    assert.equal("out\n\n", stdout)
    assert.equal("err\0\255", stderr)
  end)

  -- CP-EXEC-01
  it("gives empty text where it writes nothing", function()
    for _, start in ipairs { exec, exec_file } do
      local err, stdout, stderr = run(start, "true")
      assert.is_nil(err)
      assert.same({ "", "" }, { stdout, stderr })
    end
  end)

  -- CP-EXEC-01
  it("gives the same text by exec_file and by its twin that blocks", function()
    local args = { "-c", "echo one; echo two; exit 0" }
    local err, stdout = run(exec_file, "/bin/sh", args)
    assert.is_nil(err)
    assert.equal("one\ntwo\n", stdout)
    assert.equal(stdout, child_process.exec_file_sync("/bin/sh", args).stdout)
    assert.equal(stdout, child_process.exec_sync(args[2]).stdout)
  end)

  -- CP-EXEC-01
  it("calls back after its streams have closed, with its exit code known", function()
    local child, seen
    child = exec("echo out; echo err >&2", function()
      seen = { child.stdout.destroyed, child.stderr.destroyed, child.exit_code }
    end)
    child:wait "close"
    assert.same({ true, true, 0 }, seen)
  end)

  -- CP-EXEC-01
  it("gives all of a long output", function()
    local err, stdout, stderr = run(exec, "head -c 900000 /dev/zero; head -c 500000 /dev/zero >&2")
    assert.is_nil(err)
    assert.equal(("\0"):rep(900000), stdout)
    assert.equal(("\0"):rep(500000), stderr)
  end)

  -- CP-EXEC-01
  it("reads what the caller writes to its stdin", function()
    local calls, callback = recorder()
    local child = exec_file("cat", callback)
    child.stdin:finish "from us"
    local _, stdout = only_call(calls, child)
    assert.equal("from us", stdout)
  end)

  -- CP-EXEC-01
  it("runs in the folder and with the environment of the options", function()
    local opts = { cwd = "/usr", env = { NAME = "a value" } }
    assert.equal("/usr a value\n", select(2, run(exec, 'echo "$PWD $NAME"', opts)))
  end)

  -- CP-EXEC-01
  it("runs by another shell", function()
    assert.equal("-c echo $0\n", select(2, run(exec, "echo $0", { shell = "/bin/echo" })))
    assert.equal("a b\n", select(2, run(exec_file, "echo", { "a   b" }, { shell = true })))
    assert.equal("a   b\n", select(2, run(exec_file, "echo", { "a   b" })))
  end)
end)

describe("A command that fails", function()
  -- CP-EXEC-02
  it("gives an error with its exit code, its text and its command", function()
    local err, stdout, stderr = run(exec, "echo out; echo no good >&2; exit 42")
    assert.is_true(errors.is_error(err))
    assert.equal(42, err.code)
    assert.is_nil(err.signal)
    assert.is_false(err.killed)
    assert.equal("echo out; echo no good >&2; exit 42", err.cmd)
    assert.equal("Command failed: echo out; echo no good >&2; exit 42\nno good\n", err.message)
    assert.equal(err.message, tostring(err))
    assert.equal("out\n", stdout)
    assert.equal("no good\n", stderr)
    assert.equal("out\n", err.stdout)
    assert.equal("no good\n", err.stderr)
  end)

  -- CP-EXEC-02
  it("names its arguments with it by exec_file", function()
    local err = run(exec_file, "/bin/sh", { "-c", "exit 3" })
    assert.equal(3, err.code)
    assert.equal("/bin/sh -c exit 3", err.cmd)
    assert.equal("Command failed: /bin/sh -c exit 3", err.message)
  end)

  -- CP-EXEC-02
  it("by a signal that is not ours has it, and is not killed", function()
    local err = run(exec, "kill -KILL $$")
    assert.is_nil(err.code)
    assert.equal("SIGKILL", err.signal)
    assert.is_false(err.killed)
  end)

  -- CP-EXEC-02
  it("by the caller's kill is killed", function()
    local calls, callback = recorder()
    local child = exec_file("sleep", { "30" }, callback)
    assert.is_true(child:kill "SIGINT")
    local err = only_call(calls, child)
    assert.is_nil(err.code)
    assert.equal("SIGINT", err.signal)
    assert.is_true(err.killed)
  end)

  -- CP-EXEC-03
  it("since the shell does not know it has code 127 and a pid", function()
    local err, stdout, stderr, child = run(exec, "there-is-no-such-command")
    assert.equal(127, err.code)
    assert.equal("", stdout)
    assert.matches("there-is-no-such-command", stderr, 1, true)
    assert.equal("integer", math.type(child.pid))
  end)

  -- CP-EXEC-03, CP-EXEC-11
  it("since there is no such file has the system's error and no pid", function()
    local err, stdout, stderr, child = run(exec_file, "there-is-no-such-command", { "a", "b" })
    assert.is_nil(child.pid)
    assert.is_true(errors.is_error(err))
    assert.equal("ENOENT", err.code)
    assert.equal(-2, err.errno)
    assert.equal("spawn there-is-no-such-command", err.syscall)
    assert.equal("there-is-no-such-command", err.path)
    assert.same({ "a", "b" }, err.spawn_args)
    assert.equal("there-is-no-such-command a b", err.cmd)
    assert.equal("ENOENT: no such file or directory, spawn there-is-no-such-command", err.message)
    assert.equal(err.message, tostring(err))
    assert.same({ "", "" }, { stdout, stderr })
  end)

  -- CP-EXEC-03
  it("since the file can't be run, or the folder is not there, has the system's error", function()
    local err = run(exec_file, "/etc/passwd")
    assert.equal("EACCES", err.code)
    assert.equal("spawn /etc/passwd", err.syscall)
    err = run(exec, "true", { cwd = "/there/is/none" })
    assert.equal("ENOENT", err.code)
    assert.equal("spawn /bin/sh", err.syscall)
    assert.same({ "-c", "true" }, err.spawn_args)
    assert.equal("true", err.cmd)
    assert.matches("/there/is/none", err.message, 1, true)
    err = run(exec, "true", { shell = "/no/shell" })
    assert.equal("ENOENT", err.code)
    assert.equal("/no/shell", err.path)
  end)
end)

describe("Without a callback, a command", function()
  -- CP-EXEC-04
  it("is waited for in the main script, and its outputs are returned", function()
    assert.same({ n = 2, "out\n", "err\n" }, table.pack(exec "echo out; echo err >&2"))
    assert.same({ n = 2, "a b\n", "" }, table.pack(exec_file("echo", { "a", "b" })))
  end)

  -- CP-EXEC-04
  it("is waited for in a task while others go on", function()
    local order = {}
    local first = mw.go(function()
      order[#order + 1] = exec "read line; echo first" or "first fails"
    end)
    local second = mw.go(function()
      order[#order + 1] = exec "echo second"
      first:cancel()
    end)
    assert.is_nil(first:join())
    second:join()
    assert.same({ "second\n" }, order)
  end)

  -- CP-EXEC-04
  it("returns nil and an error that has the code and both outputs", function()
    local in_main = table.pack(exec "echo out; echo err >&2; exit 7")
    local in_task = table.pack(mw.go(function()
      return exec "echo out; echo err >&2; exit 7"
    end):join())
    for _, result in ipairs { in_main, in_task } do
      assert.equal(2, result.n)
      assert.is_nil(result[1])
      assert.equal(7, result[2].code)
      assert.equal("out\n", result[2].stdout)
      assert.equal("err\n", result[2].stderr)
      assert.is_false(result[2].killed)
    end
    local _, err = exec_file "there-is-no-such-command"
    assert.equal("ENOENT", err.code)
    assert.same({ "", "" }, { err.stdout, err.stderr })
  end)

  -- CP-EXEC-04
  it("can be ended while it is waited for, by its task", function()
    local mark, env = marked()
    local cleaned
    local task = mw.go(function()
      local _ <close> = setmetatable({}, {
        __close = function(_, err)
          cleaned = err
        end,
      })
      return exec("sleep 30 & sleep 30", { env = env })
    end)
    eventually(function()
      return #proc.with_environment(mark) >= 2
    end)
    local handles = leaks.handle_count()
    task:cancel()
    local result, err = task:join()
    assert.is_nil(result)
    assert.equal("ABORT_ERR", err.code)
    assert.equal("ABORT_ERR", cleaned.code)
    assert.equal("cancelled", task:status())
    -- Nothing of it is left, although one sleep still holds the pipes.
    eventually(function()
      return #leaks.children() == 0 and leaks.handle_count() < handles
    end)
    kill_marked(mark)
  end)

  -- CP-EXEC-04
  it("gets its kill_signal where its task is cancelled", function()
    local mark, env = marked()
    local task = mw.go(function()
      return exec("trap '' TERM; while :; do sleep 0.02; done", { env = env, kill_signal = "SIGKILL" })
    end)
    eventually(function()
      return #proc.with_environment(mark) >= 1
    end)
    task:cancel()
    task:join()
    eventually(function()
      return #proc.with_environment(mark) == 0
    end)
  end)

  -- CP-EXEC-04
  it("is refused where nothing can wait, with what to do instead, and does not start", function()
    local before = #leaks.children()
    local messages = {}
    local function try()
      messages[#messages + 1] = misuse(function()
        exec_file("sleep", { "30" })
      end)
      messages[#messages + 1] = misuse(function()
        exec "sleep 30"
      end)
    end
    coroutine.wrap(try)()
    local emitter = mw.emitter.new()
    emitter:on("event", try)
    local list = uncaught(function()
      mw.timers.set_timeout(try, 1)
      mw.timers.set_immediate(function()
        emitter:emit "event"
      end)
      eventually(function()
        return #messages == 6
      end)
    end)
    assert.same({}, list)
    for _, message in ipairs(messages) do
      assert.matches("can't wait for the end of a command here", message, 1, true)
      assert.matches("mw.go(function() ... end)", message, 1, true)
      assert.matches("callback", message, 1, true)
    end
    assert.equal(before, #leaks.children())
  end)
end)

describe("The limit of output", function()
  local streams = {
    { name = "stdout", redirect = "" },
    { name = "stderr", redirect = " >&2" },
  }

  local function outputs(stdout, stderr)
    return { stdout = stdout, stderr = stderr }
  end

  -- CP-EXEC-05
  it("cuts the output to exactly as much, with an error that names the stream", function()
    for _, stream in ipairs(streams) do
      local err, stdout, stderr = run(exec, "printf '%s' hello-world" .. stream.redirect, { max_buffer = 5 })
      assert.is_true(errors.is_error(err))
      assert.equal(overflow, err.code)
      assert.matches(stream.name, err.message, 1, true)
      assert.is_nil(err.signal)
      assert.equal("printf '%s' hello-world" .. stream.redirect, err.cmd)
      local got = outputs(stdout, stderr)
      assert.equal("hello", got[stream.name])
      assert.equal(5, #stdout + #stderr)
      assert.equal("hello", err[stream.name])
    end
  end)

  -- CP-EXEC-05
  it("may be reached exactly", function()
    for _, stream in ipairs(streams) do
      local err, stdout, stderr = run(exec, "printf '%s' hello" .. stream.redirect, { max_buffer = 5 })
      assert.is_nil(err)
      assert.equal("hello", outputs(stdout, stderr)[stream.name])
      err = run(exec, "printf '%s' hello" .. stream.redirect, { max_buffer = 4 })
      assert.equal(overflow, err.code)
    end
  end)

  -- CP-EXEC-05
  it("is counted apart for stdout and stderr", function()
    local err, stdout, stderr = run(exec, "printf 12345; printf 67890 >&2", { max_buffer = 5 })
    assert.is_nil(err)
    assert.same({ "12345", "67890" }, { stdout, stderr })
  end)

  -- CP-EXEC-05
  it("is exact where the output comes bit by bit", function()
    local command = "for i in 1 2 3 4 5 6 7 8 9; do printf 'abc'; sleep 0.005; done"
    local err, stdout = run(exec, command, { max_buffer = 10 })
    assert.equal(overflow, err.code)
    assert.equal("abcabcabca", stdout)
  end)

  -- CP-EXEC-05
  it("is a mebibyte where the options name none", function()
    local err, stdout = run(exec, "head -c 1048576 /dev/zero")
    assert.is_nil(err)
    assert.equal(1048576, #stdout)
    err, stdout = run(exec, "head -c 1048577 /dev/zero")
    assert.equal(overflow, err.code)
    assert.equal(1048576, #stdout)
  end)

  -- CP-EXEC-05
  it("of 0 lets nothing through, a fraction only whole bytes, infinity all", function()
    local err, stdout = run(exec, "echo text", { max_buffer = 0 })
    assert.equal(overflow, err.code)
    assert.equal("", stdout)
    assert.is_nil((run(exec, "true", { max_buffer = 0 })))
    err, stdout = run(exec, "echo text", { max_buffer = 2.5 })
    assert.equal(overflow, err.code)
    assert.equal("te", stdout)
    err, stdout = run(exec, "head -c 3000000 /dev/zero", { max_buffer = math.huge })
    assert.is_nil(err)
    assert.equal(3000000, #stdout)
  end)

  -- CP-EXEC-05
  it("ends a command that would never stop writing", function()
    for _, redirect in ipairs { "", " >&2" } do
      collectgarbage()
      local before = collectgarbage "count"
      local err, stdout, stderr = run(exec, "yes" .. redirect, { max_buffer = 1001 })
      assert.equal(overflow, err.code)
      assert.equal(1001, #stdout + #stderr)
      assert.equal(("y\n"):rep(500) .. "y", stdout .. stderr)
      collectgarbage()
      assert.is_true(collectgarbage "count" - before < 1024)
    end
    local _, err = exec_file("yes", { max_buffer = 64 })
    assert.equal(overflow, err.code)
    assert.equal(("y\n"):rep(32), err.stdout)
  end)

  -- CP-EXEC-05, CP-EXEC-08
  it("does not wait for a grandchild that holds the pipes", function()
    local mark, env = marked()
    local took = milliseconds_of(function()
      local err, stdout = run(exec, "sleep 30 & echo too long; sleep 30", { max_buffer = 3, env = env })
      assert.equal(overflow, err.code)
      assert.equal("too", stdout)
    end)
    assert.is_true(took < 15000)
    kill_marked(mark)
  end)
end)

describe("The time limit of a command", function()
  -- CP-EXEC-07
  it("kills it, and its callback gets the signal, no code, and what it wrote", function()
    local err, stdout, stderr = run(exec, "echo out; echo err >&2; exec sleep 30", { timeout = 400 })
    assert.is_true(err.killed)
    assert.is_nil(err.code)
    assert.equal("SIGTERM", err.signal)
    assert.equal("echo out; echo err >&2; exec sleep 30", err.cmd)
    assert.same({ "out\n", "err\n" }, { stdout, stderr })
    assert.matches("^Command failed: echo out", tostring(err))
  end)

  -- CP-EXEC-07
  it("sends the kill_signal of the options", function()
    local err = run(exec_file, "sleep", { "30" }, { timeout = 20, kill_signal = "sigusr1" })
    assert.is_true(err.killed)
    assert.equal("SIGUSR1", err.signal)
    err = run(exec, "trap '' TERM; while :; do sleep 0.02; done", { timeout = 50, kill_signal = 9 })
    assert.equal("SIGKILL", err.signal)
  end)

  -- CP-EXEC-07
  it("keeps what came before also for who waits", function()
    local _, err = exec("printf before; exec sleep 30", { timeout = 400 })
    assert.is_true(err.killed)
    assert.equal("SIGTERM", err.signal)
    assert.equal("before", err.stdout)
  end)

  -- CP-EXEC-08
  it("does not wait for a grandchild that holds the pipes", function()
    local mark, env = marked()
    local took = milliseconds_of(function()
      local err = run(exec, "sleep 30 & sleep 30", { timeout = 200, env = env })
      assert.is_true(err.killed)
      assert.equal("SIGTERM", err.signal)
      assert.is_nil(err.code)
    end)
    assert.is_true(took >= 195 and took < 15000)
    kill_marked(mark)
  end)

  -- CP-EXEC-08
  it("holds beyond the end of the shell, as long as a grandchild has the pipes", function()
    local mark, env = marked()
    local time = milliseconds_of(function()
      assert.equal("hi\n", (exec("sleep 30 & echo hi", { timeout = 100, env = env })))
    end)
    assert.is_true(time < 15000)
    kill_marked(mark)
  end)

  -- CP-EXEC-08
  it("closes every pipe, also those beyond the standard three", function()
    local mark, env = marked()
    local stdio = { nil, nil, nil, "pipe" }
    local time = milliseconds_of(function()
      local _, err = exec("sleep 30 & sleep 30", { timeout = 100, env = env, stdio = stdio })
      assert.is_true(err.killed)
    end)
    assert.is_true(time < 15000)
    kill_marked(mark)
  end)

  -- CP-EXEC-09
  it("that is not reached changes nothing and leaves no timer", function()
    local handles = leaks.handle_count()
    local err, stdout = run(exec, "echo text", { timeout = 2 ^ 30 })
    assert.is_nil(err)
    assert.equal("text\n", stdout)
    assert.equal(handles, leaks.handle_count())
    err = run(exec, "exit 5", { timeout = 2 ^ 30 })
    assert.equal(5, err.code)
    assert.is_false(err.killed)
    assert.equal(handles, leaks.handle_count())
  end)

  -- CP-EXEC-09
  it("that is not reached does not hold up the program", function()
    local took = milliseconds_of(function()
      local result = run_mwrun {
        "-e",
        [[
          local child_process = require "mw.child_process"
          for _, ms in ipairs { 2 ^ 30, 2 ^ 31, 2 ^ 32 + 1, 2 ^ 53 } do
            child_process.exec("echo text", { timeout = ms }, function(err, stdout)
              assert(err == nil and stdout == "text\n")
            end)
            child_process.exec_file("there-is-no-such-command", { timeout = ms }, function(err)
              assert(err.code == "ENOENT")
            end)
          end
        ]],
      }
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)
    assert.is_true(took < 5000)
  end)
end)

describe("The child that exec returns", function()
  -- CP-EXEC-10
  it("lets other listeners see what its callback gets", function()
    local calls, callback = recorder()
    local child = exec("echo out; echo err >&2; head -c 200000 /dev/zero", callback)
    local stdout, stderr = children.collect(child.stdout), children.collect(child.stderr)
    local err, all, all_errors = only_call(calls, child)
    assert.is_nil(err)
    assert.equal("out\n" .. ("\0"):rep(200000), all)
    assert.equal("err\n", all_errors)
    assert.equal(all, stdout())
    assert.equal(all_errors, stderr())
  end)

  -- CP-EXEC-10
  it("is what spawn returns", function()
    local calls, callback = recorder()
    local child = exec("exit 4", callback)
    assert.equal("integer", math.type(child.pid))
    assert.equal("/bin/sh", child.spawn_file)
    assert.same({ "/bin/sh", "-c", "exit 4" }, child.spawn_args)
    local events = children.record(child)
    only_call(calls, child)
    assert.equal("spawn exit close", children.names(events))
  end)
end)

describe("The callback of a command", function()
  -- CP-EXEC-11
  it("comes once where error is followed by close", function()
    local calls, callback = recorder()
    local child = exec_file("/there/is/none", callback)
    local events = children.record(child)
    local err = only_call(calls, child)
    assert.equal("error close", children.names(events))
    assert.equal(err, children.event(events, "error")[2])
  end)

  -- CP-EXEC-11
  it("gets empty text where there are no pipes", function()
    for _, stdio in ipairs { "ignore", { "ignore", "ignore", "ignore" } } do
      local err, stdout, stderr, child = run(exec, "echo out; echo err >&2", { stdio = stdio })
      assert.is_nil(err)
      assert.same({ "", "" }, { stdout, stderr })
      assert.is_nil(child.stdout)
    end
    local err, stdout, stderr = run(exec, "echo err >&2; exit 2", { stdio = { "ignore", "ignore", "pipe" } })
    assert.equal(2, err.code)
    assert.same({ "", "err\n" }, { stdout, stderr })
    err = run(exec, "exec sleep 30", { stdio = "ignore", timeout = 20 })
    assert.is_true(err.killed)
  end)

  -- CP-EXEC-11
  it("gets an error and empty text where the pipes can't be made", function()
    local result = run_mwrun({
      "-e",
      [[
        local child_process = require "mw.child_process"
        child_process.exec("true") -- what stays open is open now
        local count, files = 0, {}
        repeat
          local file = io.open "/dev/null"
          files[#files + 1] = file
        until not file or #files > 4096
        for _, options in ipairs { {}, { timeout = 50 }, { timeout = 2 ^ 30 }, { max_buffer = 0 } } do
          child_process.exec("true", options, function(err, stdout, stderr)
            count = count + 1
            print(err.code, stdout == "", stderr == "", err.cmd)
          end)
        end
        require("mw.process").on("exit", function() print(count) end)
      ]],
    }, { limits = { nofile = 40 } })
    assert.is_nil(result.error)
    assert.equal("", result.stderr)
    local count = select(2, result.stdout:gsub("EMFILE\ttrue\ttrue\ttrue\n", ""))
    assert.equal(4, count)
    assert.matches("\n4\n$", result.stdout)
  end)

  -- CP-EXEC-11
  it("comes once, at once, where the command can't be killed", function()
    for _, case in ipairs {
      { "exec sleep 30", { timeout = 20 }, "EPERM" },
      { "echo text; exec sleep 30", { max_buffer = 2 }, overflow },
    } do
      local calls, callback = recorder()
      local child = exec(case[1], case[2], callback)
      local process = child._process
      -- As the kernel answers for a process that is another user's by now.
      child._process = {
        kill = function()
          return nil, "EPERM"
        end,
      }
      eventually(function()
        return calls[1]
      end)
      assert.equal(case[3], calls[1][1].code)
      assert.equal(case[1], calls[1][1].cmd)
      process:kill(9)
      only_call(calls, child)
    end
  end)

  -- CP-EXEC-11
  it("that raises is an uncaught exception, and does not come again", function()
    for _, command in ipairs { "true", "exit 1", "yes" } do
      local count = 0
      local list = uncaught(function()
        local child = exec(command, function()
          count = count + 1
          error "no good"
        end)
        child:wait "close"
        mw.sleep(1)
      end)
      assert.equal(1, count)
      assert.equal(1, #list)
      assert.matches("no good", tostring(list[1].error), 1, true)
    end
  end)

  -- CP-EXEC-11
  it("comes once where several limits are passed together", function()
    local controller = mw.abort_controller()
    local calls, callback = recorder()
    local child = exec("yes & yes >&2 & exec yes", { timeout = 1, max_buffer = 100, signal = controller.signal }, callback)
    controller:abort()
    child:kill "SIGKILL"
    only_call(calls, child)
    assert.equal(0, controller.signal:listener_count "abort")
  end)
end)

describe("The abort token of a command", function()
  local function assert_aborted(err, reason)
    assert.is_true(errors.is_error(err))
    assert.equal("ABORT_ERR", err.code)
    assert.is_nil(err.signal)
    assert.equal(reason, err.cause)
    assert.matches("^ABORT_ERR: ", tostring(err))
  end

  -- CP-EXEC-12
  it("ends it while it runs", function()
    local reason = { "why" }
    local controller = mw.abort_controller()
    local calls, callback = recorder()
    local child = exec("echo text; exec sleep 30", { signal = controller.signal }, callback)
    child.stdout:wait "data"
    assert.equal(1, controller.signal:listener_count "abort")
    controller:abort(reason)
    local err, stdout, stderr = only_call(calls, child)
    assert_aborted(err, reason)
    assert.equal("echo text; exec sleep 30", err.cmd)
    assert.same({ "text\n", "" }, { stdout, stderr })
    assert.equal("SIGTERM", child.signal_code)
    assert.equal(0, controller.signal:listener_count "abort")
  end)

  -- CP-EXEC-12
  it("aborted before starts nothing, and tells the callback later", function()
    local controller = mw.abort_controller()
    controller:abort "too late"
    local before = #leaks.children()
    for _, start in ipairs { exec, exec_file } do
      local calls, callback = recorder()
      local child = start("sleep", { signal = controller.signal }, callback)
      assert.same({}, calls)
      assert.is_nil(child.pid)
      assert.equal(before, #leaks.children())
      local err, stdout, stderr = only_call(calls, child)
      assert_aborted(err, "too late")
      assert.same({ "", "" }, { stdout, stderr })
    end
    assert.equal(0, controller.signal:listener_count "abort")
  end)

  -- CP-EXEC-12
  it("has an error object as the reason where none is given", function()
    local controller = mw.abort_controller()
    controller:abort()
    local _, err = exec("sleep 30", { signal = controller.signal })
    assert_aborted(err, controller.signal.reason)
    assert.equal("ABORT_ERR", err.cause.code)
  end)

  -- CP-EXEC-12
  it("ends the wait of a task", function()
    local controller = mw.abort_controller()
    local started = false
    local task = mw.go(function()
      started = true
      return exec_file("sleep", { "30" }, { signal = controller.signal })
    end)
    eventually(function()
      return started
    end)
    controller:abort "enough"
    local ok, err = task:join()
    assert.is_nil(ok)
    assert_aborted(err, "enough")
    assert.same({ "", "" }, { err.stdout, err.stderr })
    assert.equal("done", task:status())
  end)

  -- CP-EXEC-12
  it("does nothing after its end", function()
    local controller = mw.abort_controller()
    for _, command in ipairs { "true", "exit 1", "yes" } do
      local calls, callback = recorder()
      local child = exec(command, { signal = controller.signal }, callback)
      local err = only_call(calls, child)
      assert.is_not.equal("ABORT_ERR", err and err.code)
      assert.equal(0, controller.signal:listener_count "abort")
    end
    run(exec_file, "/there/is/none", { signal = controller.signal })
    assert.equal(0, controller.signal:listener_count "abort")
    controller:abort()
    mw.sleep(1)
  end)

  -- CP-EXEC-12
  it("does nothing in the callback itself", function()
    local controller = mw.abort_controller()
    local errors_seen = {}
    local count = 0
    local child
    child = exec("exit 3", { signal = controller.signal }, function(err)
      count = count + 1
      errors_seen[#errors_seen + 1] = err.code
      controller:abort()
    end)
    child:wait "close"
    mw.sleep(1)
    assert.same({ 3 }, errors_seen)
    assert.equal(1, count)
  end)

  -- CP-EXEC-12, CP-EXEC-08
  it("does not wait for a command that ignores the signal, nor for a grandchild", function()
    local mark, env = marked()
    local controller = mw.abort_controller()
    local calls, callback = recorder()
    local command = "trap '' TERM; echo ready; sleep 30 & while :; do sleep 0.02; done"
    local child = exec(command, { signal = controller.signal, env = env }, callback)
    child.stdout:wait "data"
    controller:abort "now"
    eventually(function()
      return calls[1]
    end, 1000)
    assert_aborted(calls[1][1], "now")
    assert.equal("ready\n", calls[1][2])
    kill_marked(mark)
    only_call(calls, child)
  end)

  -- CP-EXEC-12
  it("serves many commands", function()
    local controller = mw.abort_controller()
    local all = {}
    for index = 1, 12 do
      local calls, callback = recorder()
      all[index] = { calls = calls, child = exec_file("sleep", { "30" }, { signal = controller.signal }, callback) }
    end
    assert.equal(12, controller.signal:listener_count "abort")
    controller:abort "all of you"
    for _, one in ipairs(all) do
      assert_aborted((only_call(one.calls, one.child)), "all of you")
    end
    assert.equal(0, controller.signal:listener_count "abort")
  end)
end)
