local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local process = require "mw.process"
local Scratch = require "spec.support.scratch"
local uncaught = require "spec.support.uncaught"

-- What every piece of code that runs in a process of its own begins with; one
-- line, so that the lines of the code are counted right.
local prelude = "local mw = require 'mw' local process, timers = mw.process, mw.timers "

local function run(code, opts)
  return children.lua(prelude .. code, opts)
end

local function start(code, opts)
  return child_process.spawn(process.exec_path, { "-e", prelude .. code }, opts or {})
end

-- Runs a piece of code that must end by itself with this status and print
-- nothing on stderr; returns what it has printed.
local function output_of(code, status, opts)
  local result = run(code, opts)
  assert.equal("", result.stderr)
  assert.equal(status or 0, result.code)
  return result.stdout
end

-- Waits until a child that was started has printed this text, too.
local function wait_for_output(collected, text)
  eventually(function()
    return collected():find(text, 1, true)
  end)
end

-- A path as a word of a shell command.
local function quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- A shell command that runs a piece of code.
local function command(code)
  return quoted(process.exec_path) .. " -e " .. quoted(prelude .. code)
end

describe("an error that nobody catches", function()
  -- PROC-01
  it("prints a trace on stderr and exits 1, from wherever it comes", function()
    local places = {
      ["the main script"] = "error 'oops'",
      ["a timer"] = "timers.set_timeout(function() error 'oops' end, 1)",
      ["an immediate"] = "timers.set_immediate(function() error 'oops' end)",
      ["a tick"] = "process.next_tick(function() error 'oops' end)",
      ["a listener"] = "process.on('SIGUSR1', function() error 'oops' end) process.kill(process.pid, 'SIGUSR1') mw.sleep(1000)",
      ["a task"] = "mw.go(function() error 'oops' end)",
      ["an exit handler"] = "process.on('exit', function() error 'oops' end)",
      ["a before_exit handler"] = "process.on('before_exit', function() error 'oops' end)",
      ["a callback of luv"] = "require('luv').fs_stat('/', function() error 'oops' end)",
      ["a write callback"] = "process.stdout:write('', function() error 'oops' end)",
    }
    for place, code in pairs(places) do
      local result = run(code)
      assert.equal(1, result.code, place)
      assert.matches("%(command line%):1: oops\nstack traceback:\n", result.stderr, 1, false, place)
    end
  end)

  -- PROC-01
  it("goes to the handlers, and the process goes on and exits 0", function()
    local stdout = output_of [[
      process.on("uncaught_exception", function(err, origin, traceback)
        print(err, origin, type(traceback))
      end)
      process.on("uncaught_exception", function(err) print("second", err) end)
      timers.set_timeout(error, 1, "timer", 0)
      timers.set_timeout(print, 5, "alive")
      mw.go(error, "task", 0)
      process.next_tick(error, "tick", 0)
      error("main", 0)
    ]]
    local lines = {}
    for line in stdout:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({
      "alive",
      "main\tuncaught_exception\tstring",
      "second\tmain",
      "second\ttask",
      "second\ttick",
      "second\ttimer",
      "task\tunhandled_rejection\tstring",
      "tick\tuncaught_exception\tstring",
      "timer\tuncaught_exception\tstring",
    }, lines)
  end)

  -- PROC-01
  it("in the handler itself exits 7, and names the second error", function()
    local result = run [[
      process.on("uncaught_exception", function() error "second" end)
      error "first"
    ]]
    assert.equal(7, result.code)
    assert.matches("second\nstack traceback:", result.stderr)
  end)

  -- PROC-01
  it("that the handler leaves to others exits 7 as well, instead of going round", function()
    local result = run [[
      process.on("uncaught_exception", function()
        print "handler"
        mw.emitter.new():emit("error", "second")
      end)
      error "first"
    ]]
    assert.equal(7, result.code)
    assert.equal("handler\n", result.stdout)
    assert.matches("second", result.stderr)
  end)

  it("runs the exit handlers, which see status 1, and may change it", function()
    assert.equal("exit\t1\n", run("process.on('exit', function(code) print('exit', code) end) error 'x'").stdout)
    assert.equal(9, run("process.on('exit', function() process.exit_code = 9 end) error 'x'").code)
  end)

  it("goes to a handler of once a single time", function()
    local result = run [[
      process.once("uncaught_exception", function(err) print(err) end)
      timers.set_timeout(error, 1, "first", 0)
      timers.set_timeout(error, 2, "second", 0)
    ]]
    assert.equal("first\n", result.stdout)
    assert.equal(1, result.code)
    assert.matches("second", result.stderr)
  end)

  it("may be any value", function()
    assert.equal("nil\ntable\n42\n", output_of [[
      process.on("uncaught_exception", function(err) print(type(err) == "table" and "table" or err) end)
      process.next_tick(error, nil)
      process.next_tick(error, {})
      process.next_tick(error, 42)
    ]])
    local result = run "error()"
    assert.equal(1, result.code)
    assert.not_equal("", result.stderr)
  end)
end)

describe("the exit code", function()
  -- PROC-02
  it("that was set counts at the natural end, and for exit without a code", function()
    assert.equal(5, run("process.exit_code = 5").code)
    assert.equal(5, run("process.exit_code = 5 process.exit()").code)
    assert.equal(5, run("process.exit_code = 5 process.exit(nil)").code)
    assert.equal(5, run("process.exit_code = 5 timers.set_timeout(function() end, 2)").code)
    assert.equal(0, run("process.exit_code = 5 process.exit_code = nil").code)
  end)

  -- PROC-02
  it("that exit is given overrides it, 0 too", function()
    assert.equal(0, run("process.exit_code = 5 process.exit(0)").code)
    assert.equal(3, run("process.exit_code = 5 process.exit(3)").code)
    assert.equal(3, run("process.exit_code = 5 os.exit(3)").code)
    assert.equal(0, run("process.exit_code = 5 os.exit(true)").code)
  end)

  -- PROC-02
  it("is given to exit and before_exit handlers, and can be changed in them", function()
    assert.equal("before\t4\nexit\t4\t4\n", output_of([[
      process.exit_code = 4
      process.on("before_exit", function(code) print("before", code) end)
      process.on("exit", function(code)
        print("exit", code, process.exit_code)
        process.exit_code = 6
      end)
    ]], 6))
    assert.equal("0\t0\n", output_of "process.on('exit', function(code) print(code, process.exit_code) end)")
    assert.equal("3\n", output_of("process.on('exit', print) os.exit(3)", 3))
  end)

  -- PROC-02
  it("that is none raises, and leaves the process running", function()
    for _, code in ipairs { "'x'", "'1'", "1.5", "{}", "true", "0/0", "math.huge", "print" } do
      assert.equal("code\nexit\n", output_of(([[
        local code = %s
        print((select(2, pcall(function() process.exit_code = code end)):match "bad argument '(code)' %%(integer expected"))
        print((select(2, pcall(process.exit, code)):match "(exit): bad argument 'code' %%(integer expected"))
      ]]):format(code)))
    end
    assert.equal("3\n", output_of("process.exit_code = 3.0 print(process.exit_code)", 3))
    assert.matches("^process%.exit_code: bad argument 'code'", misuse(function()
      process.exit_code = "x"
    end))
  end)

  it("has eight bits, negative ones too", function()
    assert.equal(255, run("process.exit(-1)").code)
    assert.equal(255, run("os.exit(-1)").code)
    assert.equal(255, run("process.exit_code = -1").code)
    assert.equal(1, run("process.exit(257)").code)
  end)
end)

describe("an exit handler", function()
  -- PROC-03
  it("runs once, also when it calls exit itself, and its code wins", function()
    for _, exit in ipairs { "process.exit(8)", "os.exit(8)", "process.exit_code = 8 process.exit()" } do
      assert.equal("handler\t2\n", output_of(([[
        process.on("exit", function(code)
          print("handler", code)
          %s
          print "never"
        end)
        process.exit(2)
      ]]):format(exit), 8))
    end
  end)

  -- PROC-03
  it("may schedule what it likes: none of it runs", function()
    assert.equal("exit\n", output_of [[
      process.on("exit", function()
        print "exit"
        timers.set_timeout(print, 1, "timer")
        timers.set_immediate(print, "immediate")
        process.next_tick(print, "tick")
        mw.go(print, "task")
        mw.child_process.exec("true", print)
        process.stdout:write("", function() print "written" end)
      end)
    ]])
  end)

  it("runs in the order of the calls, at the natural end and for os.exit", function()
    for _, ending in ipairs { "", "os.exit()", "process.exit()", "timers.set_immediate(os.exit)", "mw.go(process.exit)" } do
      assert.equal("1\n2\n", output_of([[
        process.on("exit", function() print(1) end)
        process.once("exit", function() print(2) end)
      ]] .. ending))
    end
  end)

  it("that raises does not stop the others", function()
    local result = run [[
      process.on("exit", function() print "first" error("no", 0) end)
      process.on("exit", function(code) print("second", code) end)
    ]]
    assert.equal("first\nsecond\t0\n", result.stdout)
    assert.equal(1, result.code)
    assert.matches("no", result.stderr)
  end)

  it("can't prevent the end by a listener of uncaught exceptions", function()
    assert.equal("caught\tno\n", output_of [[
      process.on("exit", function() error("no", 0) end)
      process.on("uncaught_exception", function(err) print("caught", err) end)
    ]])
  end)

  it("does not run for abort, which ends by SIGABRT", function()
    local result = run "process.on('exit', print) process.abort()"
    assert.equal("SIGABRT", result.signal)
    assert.equal("", result.stdout)
  end)
end)

describe("before_exit", function()
  it("comes when the loop is empty, and again after it was brought back to life", function()
    assert.equal("before\nrevived\nbefore\nrevived\nbefore\nexit\n", output_of [[
      local left = 2
      process.on("before_exit", function()
        print "before"
        if left > 0 then
          left = left - 1
          timers.set_timeout(print, 1, "revived")
        end
      end)
      process.on("exit", function() print "exit" end)
    ]])
  end)

  it("does not come for exit, nor after an uncaught exception", function()
    assert.equal("", output_of "process.on('before_exit', print) process.exit()")
    assert.equal("", run("process.on('before_exit', print) error 'x'").stdout)
  end)

  it("does not come round by a tick alone", function()
    assert.equal("before\ntick\n", output_of [[
      process.on("before_exit", function()
        print "before"
        process.next_tick(print, "tick")
      end)
    ]])
  end)
end)

describe("kill", function()
  -- PROC-05
  it("sends SIGTERM, or the signal of a name or number", function()
    for signal, expected in pairs { [false] = "SIGTERM", SIGUSR2 = "SIGUSR2", [9] = "SIGKILL", sighup = "SIGHUP" } do
      local child = child_process.spawn("sleep", { "100" })
      assert.is_true(process.kill(child.pid, signal or nil))
      assert.equal(expected, children.finish(child).signal)
    end
  end)

  -- PROC-05
  it("asks only, by signal 0", function()
    assert.is_true(process.kill(process.pid, 0))
  end)

  -- PROC-05
  it("signals a group by a negative pid, and our own by 0", function()
    local child = child_process.spawn("sh", { "-c", "sleep 100 & sleep 100" }, { process_group = true })
    local events = children.record(child)
    assert.is_true(process.kill(-child.pid, "SIGTERM"))
    assert.equal("SIGTERM", children.closed(events)[3])
    local result = run("process.kill(0, 'SIGKILL') mw.sleep(10000)", { process_group = true })
    assert.equal("SIGKILL", result.signal)
  end)

  -- PROC-05
  it("returns nil and ESRCH for a process that there is not", function()
    local ok, err = process.kill(2 ^ 31 - 1 | 0)
    assert.is_nil(ok)
    assert.equal("ESRCH", err.code)
    assert.equal("ESRCH: no such process, kill 2147483647", tostring(err))
  end)

  -- PROC-05
  it("returns nil and EINVAL for a number that is no signal", function()
    for _, number in ipairs { 65, 1000, -1, 2 ^ 32, math.maxinteger } do
      local ok, err = process.kill(process.pid, number)
      assert.is_nil(ok)
      assert.equal("EINVAL", err.code)
    end
  end)

  -- PROC-05
  it("raises for an unknown name and for a pid that is no number, nil above all", function()
    assert.matches("^kill: unknown signal 'SIGFOO' %(ERR_UNKNOWN_SIGNAL%)", misuse(function()
      process.kill(process.pid, "SIGFOO")
    end))
    for _, value in ipairs { false, "1", "", {}, 1.5, 2 ^ 32, -2 ^ 40 } do
      assert.matches("^kill: bad argument 'pid' %(integer", misuse(function()
        process.kill(value or nil, 0)
      end))
    end
    for _, value in ipairs { {}, true, 1.5 } do
      assert.matches("^kill: bad argument 'signal'", misuse(function()
        process.kill(process.pid, value)
      end))
    end
  end)
end)

describe("a signal", function()
  -- PROC-06
  it("gives all its listeners the name and the number", function()
    assert.equal("1\tSIGUSR1\t10\n2\tSIGUSR1\t10\n", output_of [[
      process.on("SIGUSR1", function(...) print(1, ...) end)
      process.on("SIGUSR1", function(...) print(2, ...) end)
      process.kill(process.pid, "SIGUSR1")
      mw.sleep(10)
    ]])
  end)

  -- PROC-06
  it("of every name that can be caught has an event", function()
    assert.equal("every one\n", output_of [[
      local listened, seen = 0, {}
      for number = 1, 64 do
        local name = require("mw.core.process").signal_name(number)
        if name ~= "SIGKILL" and name ~= "SIGSTOP" and not name:find "SIG3[234]" then
          process.on(name, function(got, value)
            if got == name and value == number then
              seen[number] = true
            end
          end)
          listened = listened + 1
          process.kill(process.pid, number)
        end
      end
      mw.sleep(50)
      for _ in pairs(seen) do listened = listened - 1 end
      print(listened == 0 and "every one" or "not every one")
    ]])
  end)

  -- PROC-06
  it("kills again when its last listener is gone", function()
    for _, name in ipairs { "SIGTERM", "SIGHUP", "SIGUSR2", "SIGALRM", "SIGRTMIN+1" } do
      local result = run(([[
        local name = %q
        local function first() print "first" end
        local function second() print "second" end
        process.on(name, first)
        process.once(name, second)
        process.kill(process.pid, name)
        mw.sleep(5)
        process.kill(process.pid, name)
        mw.sleep(5)
        process.off(name, first)
        timers.set_timeout(function() end, 5000)
        process.kill(process.pid, name)
      ]]):format(name))
      assert.equal("first\nsecond\nfirst\n", result.stdout)
      assert.equal(name, result.signal)
    end
  end)

  -- PROC-06, PROC-07
  it("kills again after remove_all_listeners", function()
    for _, argument in ipairs { "'SIGTERM'", "" } do
      local result = run(([[
        process.on("SIGTERM", print)
        process.on("SIGTERM", print)
        process.remove_all_listeners(%s)
        timers.set_timeout(function() end, 5000)
        process.kill(process.pid)
      ]]):format(argument))
      assert.equal("SIGTERM", result.signal)
    end
  end)

  -- PROC-06
  it("may lose its listeners in the exit handler", function()
    output_of [[
      process.on("SIGTERM", print)
      process.on("SIGINT", print)
      process.on("exit", function() process.remove_all_listeners() end)
    ]]
  end)

  it("with a listener does not kill while the process ends, either", function()
    local code = [[
      process.on("SIGHUP", print)
      at_end = setmetatable({}, { __gc = function() process.kill(process.pid, "SIGHUP") end })
    ]]
    assert.equal("", output_of(code))
  end)

  -- PROC-07
  it("with a listener does not keep the process alive", function()
    output_of "process.on('SIGTERM', print) process.on('SIGUSR1', print)"
  end)

  it("SIGKILL or SIGSTOP is refused", function()
    for _, name in ipairs { "SIGKILL", "SIGSTOP" } do
      assert.equal("on: the kernel lets no process listen to " .. name, misuse(function()
        process.on(name, print)
      end))
      assert.equal(0, process.listener_count(name))
    end
  end)

  it("SIGINT without listeners raises in running code and ends the idle process, after a listener too", function()
    local busy = run [[
      process.on("SIGINT", print)
      process.remove_all_listeners "SIGINT"
      print(pcall(function()
        process.kill(process.pid, "SIGINT")
        while true do end
      end))
      process.kill(process.pid, "SIGINT")
      print "never"
    ]]
    assert.matches("^false\t.*interrupted!\n$", busy.stdout)
    assert.matches("interrupted!", busy.stderr)
    local idle = start "print 'ready' io.stdout:flush() mw.sleep(10000)"
    local events, collected = children.record(idle), children.collect(idle.stdout)
    wait_for_output(collected, "ready")
    eventually(function()
      return proc.stat(idle.pid).state == "S"
    end)
    idle:kill "SIGINT"
    assert.equal("SIGINT", children.closed(events)[3])
  end)

  it("SIGINT with a listener reaches it from running code, which goes on", function()
    assert.equal("done\nSIGINT\t2\n", output_of [[
      process.on("SIGINT", print)
      process.kill(process.pid, "SIGINT")
      for _ = 1, 1000000 do end
      print "done"
      mw.sleep(5)
    ]])
  end)

  it("SIGPIPE never kills, and goes to its listeners", function()
    local result = run [[
      local child = mw.child_process.spawn("true")
      child:wait "exit"
      process.on("SIGPIPE", function(name) print(name) end)
      process.kill(process.pid, "SIGPIPE")
      mw.sleep(5)
      process.remove_all_listeners "SIGPIPE"
      process.kill(process.pid, "SIGPIPE")
      print "alive"
      mw.sleep(5)
    ]]
    assert.equal("", result.stderr)
    assert.equal("SIGPIPE\nalive\n", result.stdout)
    assert.equal(0, result.code)
  end)

  it("reaches one who waits", function()
    local got
    local before = process.listener_count "SIGUSR2"
    local task = mw.go(function()
      got = table.pack(process.wait("SIGUSR2", 5000))
    end)
    mw.sleep(2)
    process.kill(process.pid, "SIGUSR2")
    task:join()
    assert.same({ n = 2, "SIGUSR2", 12 }, got)
    assert.equal(before, process.listener_count "SIGUSR2")
  end)

  it("whose listener raises reaches the other listeners", function()
    local called = false
    local function first(name)
      error("first " .. name, 0)
    end
    local function second()
      called = true
    end
    local list = uncaught(function()
      process.on("SIGUSR2", first)
      process.on("SIGUSR2", second)
      process.kill(process.pid, "SIGUSR2")
      eventually(function()
        return called
      end)
    end)
    process.off("SIGUSR2", first).off("SIGUSR2", second)
    assert.equal("first SIGUSR2", list[1].error)
  end)
end)

describe("the ids", function()
  -- PROC-08
  it("are those of the process and of its parent", function()
    local result = run "print(process.pid, process.ppid, process.exec_path)"
    local pid, ppid, path = result.stdout:match "^(%d+)\t(%d+)\t(.*)\n$"
    assert.equal(result.child.pid, math.tointeger(pid))
    assert.equal(process.pid, math.tointeger(ppid))
    assert.equal(process.exec_path, path)
    assert.equal("/", path:sub(1, 1))
  end)

  -- PROC-08
  it("of the parent is read live: it changes when the parent dies", function()
    local code = [[
      local before = process.ppid
      io.write(before, "\n") io.stdout:flush()
      while process.ppid == before do mw.sleep(2) end
      print(process.ppid ~= before)
    ]]
    local child = child_process.spawn("sh", { "-c", command(code) .. " & read line; exit 0" })
    local events, collected = children.record(child), children.collect(child.stdout)
    wait_for_output(collected, child.pid .. "\n")
    child.stdin:finish "\n"
    children.closed(events)
    assert.equal(child.pid .. "\ntrue\n", collected())
  end)

  it("of user and group are numbers, which only root changes", function()
    assert.equal("integer", math.type(process.getuid()))
    assert.equal("integer", math.type(process.getgid()))
    local text = io.open("/proc/self/status"):read "a"
    assert.equal(process.getuid(), math.tointeger(proc.status_field(text, "Uid"):match "%d+"))
    assert.equal(process.getgid(), math.tointeger(proc.status_field(text, "Gid"):match "%d+"))
    if process.getuid() == 0 then
      assert.equal("true\ttrue\t12345\t12346\nEPERM\tEPERM: operation not permitted, setuid 0\n", output_of [[
        local group, user = process.setgid(12346), process.setuid(12345)
        print(user, group, process.getuid(), process.getgid())
        local ok, err = process.setuid(0)
        print(ok or err.code, err)
      ]])
    end
    for _, value in ipairs { "root", -1, 1.5, 2 ^ 32, false } do
      assert.matches("^setuid: bad argument 'id'", misuse(function()
        process.setuid(value or nil)
      end))
    end
  end)
end)

describe("env", function()
  after_each(function()
    process.env.MWRUN_SPEC = nil
  end)

  it("reads and writes the real environment", function()
    assert.is_nil(process.env.MWRUN_SPEC)
    process.env.MWRUN_SPEC = "value"
    assert.equal("value", process.env.MWRUN_SPEC)
    assert.equal("value", os.getenv "MWRUN_SPEC")
    process.env.MWRUN_SPEC = ""
    assert.equal("", process.env.MWRUN_SPEC)
    process.env.MWRUN_SPEC = nil
    assert.is_nil(os.getenv "MWRUN_SPEC")
    process.env.MWRUN_SPEC = nil
  end)

  it("writes numbers and booleans as text, and any bytes", function()
    for value, text in pairs { [5] = "5", [1.5] = "1.5", [true] = "true", ["ä\n=\xFF"] = "ä\n=\xFF" } do
      process.env.MWRUN_SPEC = value
      assert.equal(text, process.env.MWRUN_SPEC)
    end
    process.env.MWRUN_SPEC = false
    assert.equal("false", process.env.MWRUN_SPEC)
  end)

  it("is what children get, however they are started", function()
    process.env.MWRUN_SPEC = "for children"
    assert.equal("for children\n", children.sh("echo $MWRUN_SPEC").stdout)
    assert.equal("for children\n", child_process.exec_sync("echo $MWRUN_SPEC").stdout)
    local pipe = io.popen "echo $MWRUN_SPEC"
    assert.equal("for children\n", pipe:read "a")
    pipe:close()
    process.env.MWRUN_SPEC = nil
    assert.equal("unset\n", children.sh("echo ${MWRUN_SPEC-unset}").stdout)
  end)

  it("lists all variables by pairs", function()
    process.env.MWRUN_SPEC = "a=b"
    local found = {}
    for name, value in pairs(process.env) do
      assert.equal(os.getenv(name), value)
      found[name] = value
    end
    assert.equal("a=b", found.MWRUN_SPEC)
    assert.equal(os.getenv "PATH", found.PATH)
    process.env.MWRUN_SPEC = nil
    for name in pairs(process.env) do
      assert.not_equal("MWRUN_SPEC", name)
    end
  end)

  it("has nil for what is no name, and raises where that is written", function()
    for _, name in ipairs { "", "A=B", "PATH\0", 5, true } do
      assert.is_nil(process.env[name])
      assert.matches("^process%.env: bad argument 'name'", misuse(function()
        process.env[name] = "x"
      end))
    end
  end)

  it("raises for values that are no text", function()
    for _, value in ipairs { {}, print, "a\0b" } do
      assert.matches("^process%.env: bad argument 'MWRUN_SPEC'", misuse(function()
        process.env.MWRUN_SPEC = value
      end))
    end
  end)
end)

describe("the command line", function()
  local scratch

  setup(function()
    scratch = Scratch.new()
    scratch:write(
      "args.lua",
      [[
        local process = require "mw.process"
        local last = process.argv[#process.argv]
        if last == "chdir" then process.chdir "/" end
        for _, value in ipairs(process.argv) do print(value) end
        print("options", table.concat(process.exec_argv, " "))
      ]]
    )
  end)

  teardown(function()
    scratch:remove()
  end)

  local function lines(args, opts)
    local result = children.run(process.exec_path, args, opts)
    assert.equal("", result.stderr)
    local list = {}
    for line in result.stdout:gmatch "[^\n]*" do
      list[#list + 1] = line
    end
    list[#list] = nil
    return list
  end

  it("is in argv: executable, script, arguments", function()
    local script = scratch.path .. "/args.lua"
    assert.same({ process.exec_path, script, "a b", "", "-x", "options\t" }, lines { script, "a b", "", "-x" })
  end)

  it("names the script by an absolute path, whatever becomes of the folder", function()
    local expected = scratch.path .. "/args.lua"
    local folder = scratch.path:match "[^/]+$"
    for _, name in ipairs { "args.lua", "./args.lua", ".//../" .. folder .. "/./args.lua" } do
      assert.equal(expected, lines({ name }, { cwd = scratch.path })[2])
      assert.equal(expected, lines({ name, "chdir" }, { cwd = scratch.path })[2])
    end
  end)

  it("has the options that a script's children get in exec_argv", function()
    local script = scratch.path .. "/args.lua"
    local found = lines { "-W", "-l", "mw", "-e", "x = 1", script, "a" }
    assert.same({ process.exec_path, script, "a", "options\t-W -l mw" }, found)
  end)

  it("has no script for -e", function()
    assert.same(
      { process.exec_path },
      lines { "-e", "for _, value in ipairs(require('mw').process.argv) do print(value) end" }
    )
  end)
end)

describe("title", function()
  it("is the command line at first, and what was written after that, for ps too", function()
    assert.equal("spec-title\nspec-title\n", output_of [[
      process.title = "spec-title"
      print(process.title)
      local text = io.open("/proc/self/cmdline"):read "a"
      print((text:gsub("[%z ]+$", "")))
    ]])
    assert.matches(process.exec_path, output_of "print(process.title)", 1, true)
  end)

  it("does not touch the arguments and the environment", function()
    assert.equal("value\t" .. process.exec_path .. "\n", output_of([[
      process.title = ("x"):rep(100000)
      print(process.env.MWRUN_SPEC, process.argv[1])
    ]], 0, { env = { MWRUN_SPEC = "value", MWRUN_LUA_DIR = os.getenv "MWRUN_LUA_DIR" } }))
  end)

  it("raises for what is no text", function()
    for _, value in ipairs { "a\0b", 5, {} } do
      assert.matches("^process%.title: bad argument 'title'", misuse(function()
        process.title = value
      end))
    end
  end)
end)

describe("the directory", function()
  local before = process.cwd()

  after_each(function()
    process.chdir(before)
  end)

  it("is changed for us and for children", function()
    assert.is_true(process.chdir "/usr")
    assert.equal("/usr", process.cwd())
    assert.equal("/usr\n", children.sh("pwd").stdout)
  end)

  it("that can't be entered is an error that names it", function()
    local ok, err = process.chdir "/nonexistent/x"
    assert.is_nil(ok)
    assert.equal("ENOENT", err.code)
    assert.equal("/nonexistent/x", err.path)
    assert.equal("ENOENT: no such file or directory, chdir /nonexistent/x", tostring(err))
    assert.equal("ENOTDIR", select(2, process.chdir "/etc/passwd").code)
    assert.equal(before, process.cwd())
  end)

  it("that is no text raises", function()
    for _, value in ipairs { "", "a\0b", 5, false } do
      assert.matches("^chdir: bad argument 'directory'", misuse(function()
        process.chdir(value or nil)
      end))
    end
  end)

  it("that was removed is an error", function()
    local scratch = Scratch.new()
    process.chdir(scratch.path)
    scratch:remove()
    local directory, err = process.cwd()
    assert.is_nil(directory)
    assert.equal("ENOENT", err.code)
  end)
end)

describe("the figures", function()
  it("of time are integer nanoseconds that go forward", function()
    local first = process.hrtime()
    assert.equal("integer", math.type(first))
    mw.sleep(3)
    local passed = process.hrtime() - first
    assert.is_true(passed >= 3000000 and passed < 3e9)
  end)

  it("of uptime are seconds since the start of the process, not of the first use", function()
    assert.equal("true\n", output_of [[
      local uptime = process.uptime()
      print(math.type(uptime) == "float" and uptime > 0 and uptime < 10)
    ]])
    local result = children.run(process.exec_path, {
      "-e",
      "local t = os.clock() while os.clock() - t < 0.1 do end print(require('mw.process').uptime())",
    })
    assert.is_true(tonumber(result.stdout) >= 0.1)
  end)

  it("of memory are integers, and grow with it", function()
    local before = process.memory_usage()
    assert.equal("integer", math.type(before.rss))
    assert.equal("integer", math.type(before.heap_used))
    assert.is_true(before.rss > before.heap_used)
    -- A process of its own: this one may have memory to spare.
    local result = run [[
      local before = process.memory_usage()
      local ballast = ("x"):rep(20000000)
      local after = process.memory_usage()
      print(after.heap_used - before.heap_used > 19000000, after.rss - before.rss > 10000000, #ballast)
    ]]
    assert.equal("true\ttrue\t20000000\n", result.stdout)
  end)

  it("of processor time are integer microseconds, also since an earlier call", function()
    local before = process.cpu_usage()
    assert.equal("integer", math.type(before.user))
    assert.equal("integer", math.type(before.system))
    local start_clock = os.clock()
    while os.clock() - start_clock < 0.05 do -- luacheck: ignore
    end
    local spent = process.cpu_usage(before)
    assert.is_true(spent.user + spent.system >= 45000)
    assert.is_true(spent.user + spent.system < 5000000)
    for _, value in ipairs { 5, {}, { user = 1 }, { user = "1", system = "2" } } do
      assert.matches("^cpu_usage: bad argument 'previous'", misuse(function()
        process.cpu_usage(value)
      end))
    end
  end)

  it("of resources have Node's names and are integers", function()
    local usage = process.resource_usage()
    for _, name in ipairs {
      "user_cpu_time",
      "system_cpu_time",
      "max_rss",
      "shared_memory_size",
      "unshared_data_size",
      "unshared_stack_size",
      "minor_page_fault",
      "major_page_fault",
      "swapped_out",
      "fs_read",
      "fs_write",
      "ipc_sent",
      "ipc_received",
      "signals_count",
      "voluntary_context_switches",
      "involuntary_context_switches",
    } do
      assert.equal("integer", math.type(usage[name]), name)
    end
    assert.is_true(usage.max_rss * 1024 >= process.memory_usage().rss // 2)
  end)
end)

describe("umask", function()
  local before = process.umask()

  after_each(function()
    process.umask(before)
  end)

  it("returns the mask, and the one before where a new one is set", function()
    assert.equal(before, process.umask(63))
    assert.equal(63, process.umask())
    assert.equal(63, process.umask "0027")
    assert.equal(23, process.umask())
    assert.equal("0027\n", children.sh("umask").stdout)
  end)

  it("raises for what is no mask", function()
    for _, value in ipairs { -1, 512, 1.5, "8", "", "1000", "0x1", {}, true } do
      assert.matches("^umask: bad argument 'mask'", misuse(function()
        process.umask(value)
      end))
      assert.equal(before, process.umask())
    end
  end)
end)

describe("a process without a parent's channel", function()
  it("has no send and no channel, and is not connected", function()
    assert.equal("nil\tnil\tfalse\n", output_of "print(process.send, process.channel, process.connected)")
  end)
end)

describe("stdin", function()
  local reader = [[
    local total, chunks = 0, 0
    process.stdin:on("data", function(chunk) total, chunks = total + #chunk, chunks + 1 end)
    process.stdin:on("end", function() print("end", total) end)
    process.stdin:on("close", function() print "close" end)
  ]]

  it("of a pipe comes whole, then end and close", function()
    local child = start(reader)
    child.stdin:finish(("x"):rep(300000))
    assert.equal("end\t300000\nclose\n", children.finish(child).stdout)
  end)

  it("of a file, of /dev/null and of a descriptor that is closed ends", function()
    local scratch = Scratch.new()
    local path = scratch:write("input", ("x"):rep(300000))
    for from, size in pairs { ["< " .. quoted(path)] = 300000, ["< /dev/null"] = 0, ["<&-"] = 0 } do
      local result = children.sh(command(reader) .. " " .. from)
      assert.equal("", result.stderr)
      assert.equal(("end\t%d\nclose\n"):format(size), result.stdout)
      assert.equal(0, result.code)
    end
    scratch:remove()
  end)

  it("of a socket comes whole", function()
    local stdio = { "overlapped", "pipe", "inherit", "pipe" }
    local child = child_process.spawn("sh", { "-c", command(reader) .. " <&3" }, { stdio = stdio })
    child.stdio[3]:finish(("x"):rep(300000))
    assert.equal("end\t300000\nclose\n", children.finish(child).stdout)
  end)

  it("of a terminal comes by lines, and its flags stay as they are", function()
    local code = [[
      print(process.stdin.is_tty, process.stdout.is_tty)
      print("got " .. process.stdin:read())
      local flags = io.open("/proc/self/fdinfo/0"):read("a"):match "flags:%s*(%d+)"
      print("nonblocking", tonumber(flags, 8) & 2048)
    ]]
    local child = child_process.spawn("script", { "-qefc", command(code), "/dev/null" })
    local events, collected = children.record(child), children.collect(child.stdout)
    wait_for_output(collected, "true\ttrue")
    child.stdin:write "a line\n"
    assert.equal(0, children.closed(events)[2])
    assert.matches("got a line\r?\n\r?\n?nonblocking\t0", (collected():gsub("\r", "")))
  end)

  it("of a directory is an error", function()
    local result = children.sh(command "process.stdin:on('error', print) process.stdin:resume()" .. " < /")
    assert.equal("EISDIR: illegal operation on a directory, read stdin\n", result.stdout)
  end)

  it("keeps the process alive only while somebody wants its data", function()
    for _, code in ipairs {
      "local _ = process.stdin",
      "process.stdin:on('data', print) process.stdin:pause()",
      "process.stdin:resume() process.stdin:pause()",
      "process.stdin:on('data', print) process.stdin:unref()",
      "process.stdin:unref():on('data', print)",
      "process.stdin:resume() timers.set_timeout(function() process.stdin:pause() end, 5)",
      "process.stdin:resume() timers.set_timeout(function() process.stdin:destroy() end, 5)",
      "local t = mw.go(function() process.stdin:read() end) mw.sleep(5) t:cancel()",
    } do
      local child = start(code .. " print 'end'")
      local events, collected = children.record(child), children.collect(child.stdout)
      assert.equal(0, children.closed(events)[2], code)
      assert.equal("end\n", collected())
    end
  end)

  it("that was read once does not keep the process alive any more", function()
    local child = start "print(process.stdin:read())"
    child.stdin:write "once"
    local events, collected = children.record(child), children.collect(child.stdout)
    assert.equal(0, children.closed(events)[2])
    assert.equal("once\n", collected())
  end)

  it("leaves to children what it has not been asked for", function()
    local child = start [[
      print(process.stdin:read())
      mw.child_process.spawn("cat", { stdio = "inherit" })
    ]]
    local events, collected = children.record(child), children.collect(child.stdout)
    child.stdin:write "one"
    wait_for_output(collected, "one\n")
    child.stdin:finish "two\n"
    children.closed(events)
    assert.equal("one\ntwo\n", collected())
  end)

  it("goes on after pause and resume, byte-exact", function()
    local child = start [[
      local pieces, pauses = {}, 0
      process.stdin:on("data", function(chunk)
        pieces[#pieces + 1] = chunk
        process.stdin:pause()
        pauses = pauses + 1
        timers.set_timeout(function() process.stdin:resume() end, 1)
      end)
      process.stdin:on("end", function()
        local all = table.concat(pieces)
        print(#all, all == ("0123456789"):rep(30000), pauses > 2)
      end)
    ]]
    child.stdin:finish(("0123456789"):rep(30000))
    assert.equal("300000\ttrue\ttrue\n", children.finish(child).stdout)
  end)

  it("of a file goes on after pause and resume", function()
    local scratch = Scratch.new()
    local path = scratch:write("input", ("0123456789"):rep(30000))
    local code = [[
      local total = 0
      process.stdin:on("data", function(chunk)
        total = total + #chunk
        process.stdin:pause()
        process.stdin:resume():pause()
        timers.set_timeout(function() process.stdin:resume() end, 1)
      end)
      process.stdin:on("end", function() print(total) end)
    ]]
    assert.equal("300000\n", children.sh(command(code) .. " < " .. quoted(path)).stdout)
    scratch:remove()
  end)

  it("can be read by lines, in a task and in the main script", function()
    local input = "a\n\n" .. ("x"):rep(200000) .. "\nlast"
    for _, code in ipairs {
      "for line in process.stdin:lines() do print(#line) end",
      "mw.go(function() for line in process.stdin:lines() do print(#line) end end)",
    } do
      local child = start(code)
      child.stdin:finish(input)
      assert.equal("1\n0\n200000\n4\n", children.finish(child).stdout)
    end
  end)

  it("can be piped to stdout", function()
    local child = start "process.stdin:pipe(process.stdout) process.on('exit', function() print 'still open' end)"
    child.stdin:finish(("x"):rep(300000))
    assert.equal(("x"):rep(300000) .. "still open\n", children.finish(child).stdout)
  end)

  it("is not set nonblocking while it is read, nor are stdout and stderr", function()
    local code = [[
      process.stdin:on("data", function() end)
      process.stdout:write ""
      process.stderr:write ""
      timers.set_timeout(function()
        for number = 0, 2 do
          local flags = io.open("/proc/self/fdinfo/" .. number):read("a"):match "flags:%s*(%d+)"
          print(tonumber(flags, 8) & 2048)
        end
        process.stdin:destroy()
      end, 5)
    ]]
    assert.equal("0\n0\n0\n", children.sh("sleep 0.2 | " .. command(code) .. " 2>&1 | cat").stdout)
  end)
end)

describe("stdout", function()
  local slow_reader = " | { sleep 0.3; cat; }"

  it("to a slow pipe arrives whole before exit, of every kind of it", function()
    for _, ending in ipairs { "process.exit()", "os.exit()", "", "error 'x'", "mw.go(process.exit)" } do
      local result = children.sh(command("process.stdout:write(('x'):rep(300000)) " .. ending) .. slow_reader)
      assert.equal(300000, #result.stdout, ending)
    end
  end)

  it("keeps the order of print, io.write and process.stdout", function()
    assert.equal("1\n2345\n6\n78\n", output_of [[
      print(1)
      io.write "2"
      process.stdout:write "3"
      io.write "4"
      print(5)
      process.stdout:write "6\n"
      timers.set_timeout(function() io.write "7" process.stdout:write "8\n" end, 1)
    ]])
  end)

  it("and stderr in the same file keep the order, too", function()
    local code = [[
      io.write "1"
      process.stderr:write "2"
      process.stdout:write "3"
      process.stderr:write "4"
    ]]
    assert.equal("1234", children.sh(command(code) .. " 2>&1").stdout)
  end)

  it("calls back once for each write, in order, later", function()
    assert.equal("x1\n2\n", output_of [[
      process.stdout:write("x", function(err) print(1, err) end)
      process.stdout:write("", function(err) print(2, err) end)
    ]]:gsub("\tnil", ""))
  end)

  it("that nobody reads any more gives an error event with EPIPE", function()
    local code = [[
      process.stdin:resume()
      process.stdin:on("end", function()
        process.stdout:on("error", function(err) io.stderr:write(tostring(err), "\n") end)
        process.stdout:on("close", function() io.stderr:write("close\n") end)
        io.write "lost"
        process.stdout:write("x", function(err) io.stderr:write("callback ", err.code, "\n") end)
        process.stdout:write("y", function(err) io.stderr:write("callback ", err.code, "\n") end)
      end)
    ]]
    local child = start(code)
    local errors = children.collect(child.stderr)
    local events = children.record(child)
    child.stdout:destroy()
    child.stdin:finish()
    assert.equal(0, children.closed(events)[2])
    assert.equal(
      "callback EPIPE\nEPIPE: broken pipe, write stdout\nclose\ncallback ERR_STREAM_DESTROYED\n",
      (errors():gsub("(callback ERR_STREAM_DESTROYED\n)(.*)$", "%2%1"))
    )
  end)

  it("that nobody reads any more is an uncaught exception without a listener", function()
    local child = start "process.stdin:resume():on('end', function() process.stdout:write 'x' end)"
    local errors = children.collect(child.stderr)
    local events = children.record(child)
    child.stdout:destroy()
    child.stdin:finish()
    assert.equal(1, children.closed(events)[2])
    assert.matches("EPIPE: broken pipe, write stdout", errors())
  end)

  -- CP-STDIO-15
  it("that was finished loses nothing, of print neither", function()
    assert.equal("beforelast\nprinted\n", output_of [[
      io.write "before"
      process.stdout:finish "last\n"
      print "printed"
    ]])
  end)

  it("knows whether it is a terminal", function()
    assert.equal("false\tfalse\tfalse\n", output_of "print(process.stdin.is_tty, process.stdout.is_tty, process.stderr.is_tty)")
  end)
end)

describe("what was written to a child", function()
  it("arrives whole at a slow reader after exit", function()
    local scratch = Scratch.new()
    for _, ending in ipairs { "process.exit()", "child:unref()", "os.exit()", "child.stdin:finish() process.exit()" } do
      run(([[
        local child = mw.child_process.spawn("sh", { "-c", "sleep 0.2; cat > %s" }, { stdio = { "pipe", "ignore", "ignore" } })
        child.stdin:write(("0123456789"):rep(10000))
        child.stdin:write(("0123456789"):rep(10000))
        child.stdin:write(("0123456789"):rep(10000))
        %s
      ]]):format(scratch.path .. "/output", ending))
      eventually(function()
        return scratch:read "output" == ("0123456789"):rep(30000)
      end)
      os.remove(scratch.path .. "/output")
    end
    scratch:remove()
  end)

  it("holds the exit for the flush timeout at most", function()
    local before = process.hrtime()
    local result = run [[
      require("mw.exit").flush_timeout = 200
      local child = mw.child_process.spawn("sleep", { "100" }, { stdio = { "pipe", "ignore", "ignore" } })
      child.stdin:write(("x"):rep(1000000))
      io.write(child.pid)
      process.exit(3)
    ]]
    local passed = (process.hrtime() - before) / 1e6
    process.kill(math.tointeger(result.stdout), "SIGKILL")
    assert.equal(3, result.code)
    assert.is_true(passed >= 200 and passed < 4000)
  end)
end)
