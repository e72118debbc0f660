-- What mwrun adds to `lua`: the event loop, its exit statuses, its modules.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local fresh_folder = require "spec.cli.fresh_folder"
local proc = require "spec.support.proc"
local process = require "mw.process"
local run_mwrun = require "spec.support.run_mwrun"

local function run(code, opts)
  return run_mwrun({ "-e", code }, opts)
end

-- Runs a shell command in which $MWRUN stands for the executable.
local function sh(command, opts)
  opts = opts or {}
  opts.env = { MWRUN = process.exec_path }
  for _, name in ipairs { "PATH", "HOME", "MWRUN_LUA_DIR", "ASAN_OPTIONS", "LSAN_OPTIONS" } do
    opts.env[name] = os.getenv(name)
  end
  opts.timeout, opts.kill_signal = 20000, "SIGKILL"
  return child_process.spawn_sync("/bin/sh", { "-c", command }, opts)
end

-- Starts mwrun; returns the child with `output()`, `errors()` and `ended()`.
local function start(args)
  local child = child_process.spawn(process.exec_path, args)
  finally(function()
    child:kill "SIGKILL"
  end)
  local events = children.record(child)
  child.output, child.errors = children.collect(child.stdout), children.collect(child.stderr)
  function child.ended()
    local close = children.closed(events)
    return close[2], close[3]
  end
  function child.wait_for(text)
    eventually(function()
      return child.output():find(text, 1, true)
    end)
  end
  return child
end

-- Two timers of raw luv that are due in the same turn of the loop, and one that
-- is due later.
local two_timers = [[
  local uv = require "luv"
  local function later(ms, fn)
    local timer = uv.new_timer()
    timer:start(ms, 0, function() timer:close() fn() end)
  end
  later(1, function() error "in the callback" end)
  later(1, function() print "second" end)
  later(2, function() print "third" end)
]]

describe("mwrun", function()
  describe("runs the loop after the script", function()
    it("until nothing keeps it alive", function()
      local result = run [[
        local t = require("luv").new_timer()
        t:start(1, 1, function() print "turn" if t:get_due_in() then t:stop() end end)
        print "end of the script"
      ]]
      assert.equal("end of the script\nturn\n", result.stdout)
      assert.equal(0, result.status)
    end)

    it("after -e, standard input and a session on a pipe too", function()
      local code = "local t = require('luv').new_timer() t:start(50, 0, function() print 'turn' t:close() end)"
      assert.equal("turn\n", run(code).stdout)
      assert.equal("turn\n", run_mwrun({}, { input = code }).stdout)
      assert.matches("\nturn\n$", run_mwrun({ "-i" }, { input = code }).stdout)
    end)

    it("not after an error in the script", function()
      local result = run [[
        require("luv").new_timer():start(1, 0, function() print "turn" end)
        error "no"
      ]]
      assert.equal("", result.stdout)
      assert.equal(1, result.status)
    end)

    it("also where the script has run it itself", function()
      local result = run [[
        local uv = require "luv"
        local function later(ms, text) uv.new_timer():start(ms, 0, function() print(text) end) end
        later(1, "first")
        print(uv.run())
        later(300, "second")
        print(uv.run "nowait")
      ]]
      assert.equal("first\nfalse\ntrue\nsecond\n", result.stdout)
    end)

    it("once for the whole command line", function()
      assert.equal("1\n2\n3\n", run_mwrun({
        "-e",
        "require('luv').new_timer():start(0, 0, function() print(3) end) print(1)",
        "-e",
        "print(2)",
      }).stdout)
    end)
  end)

  describe("has status 1", function()
    it("after an error in standard input, where lua has 0", function()
      assert.equal(1, run_mwrun({}, { input = "error 'no'" }).status)
      assert.equal(1, run_mwrun({}, { input = "x = = 1" }).status)
    end)

    it("after an error in a raw luv callback, and runs no other", function()
      local result = run(two_timers)
      assert.equal("", result.stdout)
      assert.matches("in the callback\nstack traceback:\n", result.stderr, 1, true)
      assert.equal(1, result.status)
    end)

    it("after an error in a task that nobody joins", function()
      local result = run "require('mw').go(function() error 'in the task' end)"
      assert.matches("in the task\nstack traceback:\n", result.stderr, 1, true)
      assert.equal(1, result.status)
    end)

    it("after an error value of any kind in a callback", function()
      for value, text in pairs {
        ["42"] = "42",
        ["nil"] = "(error object is a nil value)",
        ["{}"] = "(error object is a table value)",
        ["setmetatable({}, { __tostring = function() return 'text' end })"] = "text",
        ["setmetatable({}, { __tostring = function() return 5 end })"] = "(error object is a table value)",
      } do
        local result = run("require('mw.timers').set_immediate(error, " .. value .. ")")
        assert.matches("mwrun: " .. text .. "\nstack traceback:\n", result.stderr, 1, true)
        assert.equal(1, result.status)
      end
    end)
  end)

  describe("with a listener of uncaught_exception", function()
    local listen = "require('mw').process.on('uncaught_exception', function(...) print('heard', ...) end)"

    it("goes on after an error in a callback", function()
      local result = run(listen .. two_timers)
      assert.matches("^heard\t[^\t]*in the callback\tuncaught_exception\tstack traceback:.*\nsecond\nthird\n$", result.stdout)
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
    end)

    it("goes on after an error in the script, with the value that was raised", function()
      local result = run_mwrun { "-e", listen, "-e", "error(false)", "-e", "print 'next'" }
      assert.matches("^heard\tfalse\tuncaught_exception\t.*\nnext\n$", result.stdout)
      assert.equal(0, result.status)
    end)

    it("goes on after an error in a library of -l", function()
      local result = run_mwrun { "-e", listen, "-l", "g=no.such", "-e", "print(g)" }
      assert.matches("^heard\tmodule 'no.such' not found:.*\nnil\n$", result.stdout)
      assert.equal(0, result.status)
    end)

    it("tells it of every error", function()
      local result = run(listen .. "for i = 1, 3 do require('mw.timers').set_immediate(error, i) end")
      local count = select(2, result.stdout:gsub("heard", ""))
      assert.equal(3, count)
    end)

    it("has status 7 where the listener fails", function()
      local result = run("require('mw').process.on('uncaught_exception', function() error 'worse' end)" .. two_timers)
      assert.equal(7, result.status)
      assert.equal("", result.stdout)
      assert.matches("worse", result.stderr, 1, true)
    end)
  end)

  describe("runs the exit handlers", function()
    local handler = "local process = require('mw').process process.on('exit', function(code) print('exit', code) end) "

    it("at the natural end", function()
      assert.equal("end\nexit\t0\n", run(handler .. "print 'end'").stdout)
    end)

    it("with the exit_code of the program, which they may change", function()
      local result = run(handler .. "process.on('exit', function() process.exit_code = 9 end) process.exit_code = 8")
      assert.equal("exit\t8\n", result.stdout)
      assert.equal(9, result.status)
    end)

    it("at os.exit and process.exit", function()
      for _, call in ipairs { "os.exit(5)", "os.exit(5, true)", "process.exit(5)" } do
        local result = run(handler .. call .. " print 'not here'")
        assert.equal("exit\t5\n", result.stdout)
        assert.equal(5, result.status)
      end
    end)

    it("with the very status of os.exit", function()
      assert.equal("exit\t-1\n", run(handler .. "os.exit(-1)").stdout)
      assert.equal("exit\t1\n", run(handler .. "os.exit(false)").stdout)
    end)

    it("after an error", function()
      local result = run(handler .. "error 'no'")
      assert.equal("exit\t1\n", result.stdout)
      assert.equal(1, result.status)
    end)

    it("at os.exit in a callback, a coroutine and a task", function()
      for _, place in ipairs {
        "require('luv').new_timer():start(0, 0, function() %s end)",
        "coroutine.wrap(function() %s end)()",
        "require('mw').go(function() %s end)",
        "require('mw').process.next_tick(function() %s end)",
        "require('luv').new_timer():start(0, 0, coroutine.wrap(function() %s end))",
      } do
        for _, call in ipairs { "os.exit(5)", "os.exit(5, true)", "process.exit(5)" } do
          local result = run(handler .. place:format(call .. " print 'not here'"))
          assert.equal("exit\t5\n", result.stdout)
          assert.equal("", result.stderr)
          assert.equal(5, result.status)
        end
      end
    end)

    it("once, also where they exit themselves", function()
      for _, call in ipairs { "os.exit(6)", "os.exit(6, true)", "process.exit(6)" } do
        local result = run(handler .. ("process.on('exit', function() %s end) os.exit(5)"):format(call))
        assert.equal("exit\t5\n", result.stdout)
        assert.equal(6, result.status)
      end
    end)

    it("before the finalizers and the variables to be closed", function()
      local result = run(handler .. [[
        x = setmetatable({}, { __gc = function() print "gc" end })
        local y <close> = setmetatable({}, { __close = function() print "close" end })
        os.exit(5, true)
      ]])
      assert.equal("exit\t5\nclose\ngc\n", result.stdout)
      assert.equal(5, result.status)
    end)
  end)

  describe("waiting in the script", function()
    it("runs the loop meanwhile", function()
      local result = run [[
        local mw = require "mw"
        require("luv").new_timer():start(1, 0, function() print "turn" end)
        mw.sleep(5)
        print "after"
      ]]
      assert.equal("turn\nafter\n", result.stdout)
    end)

    it("has status 13 where nothing can end it, and says what for", function()
      local result = run "print(require('mw').emitter.new():wait 'the call') print 'not here'"
      assert.equal(13, result.status)
      assert.equal("", result.stdout)
      assert.matches("the main script waits for the event 'the call'", result.stderr, 1, true)
      assert.matches("(command line):1: in main chunk", result.stderr, 1, true)
    end)

    it("runs the exit handlers with 13", function()
      local result = run [[
        local mw = require "mw"
        mw.process.on("exit", print)
        mw.emitter.new():wait "x"
      ]]
      assert.equal("13\n", result.stdout)
    end)

    it("has status 1 where the script is not what fails", function()
      local result = run [[
        require("luv").new_timer():start(1, 0, function() error "in the callback" end)
        require("mw").sleep(10000)
        print "not here"
      ]]
      assert.equal(1, result.status)
      assert.equal("", result.stdout)
      assert.matches("in the callback", result.stderr, 1, true)
    end)
  end)

  it("shows its options with --help", function()
    local result = run_mwrun { "--help", "nothing.lua" }
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    for _, option in ipairs { "usage: ", "-e stat", "-i ", "-l mod", "-v ", "-E ", "-W ", "--help", "--version" } do
      assert.matches(option, result.stdout, 1, true)
    end
  end)

  it("shows the versions with --version", function()
    local result = run_mwrun { "--version" }
    local pattern = "^mwrun %d+%.%d+%.%d+\nLua 5%.4%.%d+\nlibuv %d+%.%d+%.%d+\nluv %d+%.%d+%.%d+\n$"
    assert.matches(pattern, result.stdout)
    assert.equal(0, result.status)
  end)

  it("refuses what is no option beside one that is", function()
    local result = run_mwrun { "--help", "--nonsense" }
    assert.equal(1, result.status)
    assert.matches("unrecognized option '--nonsense'\n", result.stderr, 1, true)
  end)

  describe("at SIGINT", function()
    local busy = "print 'ready' while true do end"

    local function interrupt(code)
      local child = start { "-e", code }
      child.wait_for "ready"
      child:kill "SIGINT"
      local status, signal = child.ended()
      return child.errors(), status, signal, child.output()
    end

    for place, code in pairs {
      ["the script"] = busy,
      ["a luv callback"] = "require('luv').new_timer():start(0, 0, function() " .. busy .. " end)",
      ["a task"] = "require('mw').go(function() " .. busy .. " end)",
      ["a task that has waited"] = "local mw = require 'mw' mw.go(function() mw.sleep(1) " .. busy .. " end)",
      ["the next tick"] = "require('mw').process.next_tick(function() " .. busy .. " end)",
      ["a callback during a wait"] = "require('luv').new_timer():start(0, 0, function() "
        .. busy
        .. " end) require('mw').sleep(20000)",
    } do
      it("raises interrupted! in " .. place, function()
        local errors, status = interrupt(code)
        assert.matches("interrupted!\nstack traceback:\n", errors, 1, true)
        assert.equal(1, status)
      end)
    end

    -- Where the signal meets Lua on its way back from print, it says where that
    -- was: the loop has been reached once it has computed for a while.
    local function wait_for_loop(child)
      local ticks = proc.user_ticks(child.pid)
      eventually(function()
        return proc.user_ticks(child.pid) >= ticks + 2
      end)
    end

    it("raises an error that can be caught, as often as it comes", function()
      local child = start { "-e", ("print(pcall(function() %s end)) "):format(busy):rep(2) }
      child.wait_for "ready"
      wait_for_loop(child)
      child:kill "SIGINT"
      child.wait_for "interrupted!\nready"
      wait_for_loop(child)
      child:kill "SIGINT"
      assert.equal(0, child.ended())
      assert.equal("ready\nfalse\tinterrupted!\nready\nfalse\tinterrupted!\n", child.output())
    end)

    it("raises interrupted! in a read from standard input", function()
      local child = start { "-e", "print 'ready' print(pcall(io.read))" }
      child.wait_for "ready"
      eventually(function()
        return proc.stat(child.pid).state == "S"
      end)
      child:kill "SIGINT"
      assert.equal(0, child.ended())
      assert.equal("ready\nfalse\tinterrupted!\n", child.output())
    end)

    for place, code in pairs {
      ["the loop"] = "print 'ready' require('luv').new_timer():start(20000, 0, print)",
      ["a wait of the script"] = "print 'ready' require('mw').sleep(20000)",
      ["a wait of a task"] = "local mw = require 'mw' mw.go(function() print 'ready' mw.sleep(20000) end)",
    } do
      it("ends by it in " .. place, function()
        local child = start { "-e", code }
        child.wait_for "ready"
        eventually(function()
          return proc.stat(child.pid).state == "S"
        end)
        child:kill "SIGINT"
        local status, signal = child.ended()
        assert.is_nil(status)
        assert.equal("SIGINT", signal)
        assert.equal("", child.errors())
      end)
    end

    it("calls a listener instead", function()
      local child = start { "-e", [[
        local process = require("mw").process
        process.on("SIGINT", function(...) print(...) process.exit(5) end)
        print "ready"
        require("luv").new_timer():start(20000, 0, print)
      ]] }
      child.wait_for "ready"
      child:kill "SIGINT"
      assert.equal(5, child.ended())
      assert.equal("ready\nSIGINT\t2\n", child.output())
    end)
  end)

  describe("and SIGPIPE:", function()
    it("children start with its default action, however they are started", function()
      local show = "grep -E '^Sig(Ign|Cgt)' /proc/self/status"
      local result = run(([[
        local child_process, uv = require "mw.child_process", require "luv"
        os.execute(%q)
        io.write(io.popen(%q):read "a")
        io.write(child_process.exec_sync(%q).stdout)
        uv.spawn("sh", { args = { "-c", %q }, stdio = { 0, 1, 2 } }, function() end)
      ]]):format(show, show, show, show))
      local count = 0
      for name, mask in result.stdout:gmatch "Sig(%a+):%s*(%x+)" do
        count = count + 1
        assert.equal(0, tonumber(mask, 16) & 1 << 12, name)
        assert.equal(0, tonumber(mask, 16) & 1 << 1, name)
      end
      assert.equal(8, count)
    end)

    it("a program ends that prints to nobody", function()
      for _, code in ipairs {
        "while true do print(1) end",
        "while true do io.write('1', string.char(10)) end",
        "coroutine.wrap(function() while true do print(1) end end)()",
        "require('mw').go(function() while true do print(1) end end)",
        "local t = require('luv').new_timer() t:start(0, 1, function() print(1) end)",
      } do
        local result = sh(([["$MWRUN" -e "%s" | head -1]]):format(code))
        assert.is_nil(result.error, code)
        assert.equal("1\n", result.stdout)
      end
    end)

    it("a write to a socket that nobody reads raises nothing", function()
      local result = run [[
        local uv = require "luv"
        local fds = uv.socketpair()
        local near, far = uv.new_pipe(), uv.new_pipe()
        near:open(fds[1]) far:open(fds[2])
        far:close(function()
          near:write("x", function(err) print(err) near:close() end)
          print "written"
        end)
      ]]
      assert.equal("written\nEPIPE\n", result.stdout)
      assert.equal(0, result.status)
    end)
  end)

  describe("brings out everything that was written", function()
    local long = ("x"):rep(300000)

    -- Whatever the child does, it has to wait for us to read.
    local function read_slowly(code)
      local child = child_process.spawn(process.exec_path, { "-e", code })
      finally(function()
        child:kill "SIGKILL"
      end)
      eventually(function()
        local stat = proc.stat(child.pid)
        return stat and stat.state == "S"
      end)
      return children.finish(child)
    end

    for what, code in pairs {
      ["print"] = "print(long)",
      ["io.write"] = "io.write(long, '\\n')",
      ["process.stdout:write"] = "process.stdout:write(long .. '\\n')",
    } do
      for ending, exit in pairs {
        ["before os.exit"] = "os.exit(5)",
        ["before process.exit"] = "process.exit(5)",
        ["before os.exit in a callback"] = "require('luv').new_timer():start(0, 0, function() os.exit(5) end)",
        ["before the natural end"] = "process.exit_code = 5",
      } do
        it(("by %s %s"):format(what, ending), function()
          local setup = "local process = require('mw').process local long = ('x'):rep(300000) "
          local result = read_slowly(setup .. code .. " " .. exit)
          assert.is_true(long .. "\n" == result.stdout)
          assert.equal(5, result.code)
        end)
      end
    end

    it("by an exit handler", function()
      local result = read_slowly "require('mw').process.on('exit', function() print(('x'):rep(300000)) end) os.exit(5)"
      assert.is_true(long .. "\n" == result.stdout)
    end)

    it("in the order of writing", function()
      local result = run [[
        local out = require("mw").process.stdout
        for i = 1, 300, 3 do
          io.write(i, "\n") print(i + 1) out:write(i + 2 .. "\n")
        end
      ]]
      local expected = {}
      for i = 1, 300 do
        expected[i] = i .. "\n"
      end
      assert.equal(table.concat(expected), result.stdout)
    end)

    it("in the order of writing with a buffered standard output", function()
      local result = run [[
        io.stdout:setvbuf "full"
        local out = require("mw").process.stdout
        print "1" out:write "2\n" io.write "3\n" out:write "4\n" print "5"
      ]]
      assert.equal("1\n2\n3\n4\n5\n", result.stdout)
    end)
  end)

  describe("in a session", function()
    it("turns the loop while it waits for a line", function()
      local child = start { "-i" }
      child.stdin:write "t = require('luv').new_timer()\nt:start(1, 0, function() print 'tick' end)\n"
      child.wait_for "tick\n"
      child.stdin:write "print 'still here'\n"
      child.wait_for "still here\n"
      child.stdin:finish()
      assert.equal(0, child.ended())
    end)

    it("turns the loop while it waits for the rest of a line", function()
      local child = start { "-i" }
      child.stdin:write "require('luv').new_timer():start(1, 0, function() io.write '[tick]' io.flush() end)\nprint("
      child.wait_for "[tick]"
      child.stdin:finish "'the rest')\n"
      child.wait_for "the rest\n"
      assert.equal(0, child.ended())
    end)

    it("lets io.read have the next line, and goes on behind it", function()
      local result = run_mwrun({ "-i" }, { input = "x = io.read()\nthe line\nprint('got ' .. x)\n" })
      assert.matches("\ngot the line\n", result.stdout, 1, true)
    end)

    it("waits in a command", function()
      local result = run_mwrun({ "-i" }, { input = "require('mw').sleep(2)\nprint(2)\n" })
      assert.matches("\n2\n", result.stdout, 1, true)
      assert.equal(0, result.status)
    end)

    it("runs the tick queue between two commands", function()
      local result = run_mwrun({ "-i" }, { input = "require('mw').process.next_tick(print, 'tick')\nprint 'next'\n" })
      assert.matches("\ntick\n.*\nnext\n", result.stdout)
    end)

    it("tells which code is unfinished where the input ends", function()
      local result = run_mwrun({ "-i" }, { input = "for i = 1, 2 do\n" })
      assert.equal("stdin:1: 'end' expected near <eof>\n", result.stderr)
      assert.equal(0, result.status)
    end)
  end)

  describe("finds", function()
    it("one luv, by either name, whatever lies in the current folder", function()
      local folder = fresh_folder { ["luv.lua"] = "return 'mine'", ["uv.lua"] = "return 'mine'" }
      finally(function()
        folder:remove()
      end)
      for _, code in ipairs {
        "print(require 'luv' == require 'uv', type(require 'luv'))",
        "print(require 'uv' == require 'luv', type(require 'uv'))",
      } do
        assert.equal("true\ttable\n", run(code, { cwd = folder.path }).stdout)
      end
    end)

    for name, code in pairs {
      cjson = "print(require 'cjson'.encode { 1, 'x' })",
      lfs = "print(require 'lfs'.attributes('.', 'mode'))",
      lpeg = "print(require 'lpeg'.match(require 'lpeg'.P 'ab', 'abc'))",
    } do
      it("the C rock " .. name, function()
        if not package.searchpath(name, package.cpath) then
          return pending(name .. " is not installed")
        end
        local result = run(code)
        assert.equal("", result.stderr)
        assert.equal(({ cjson = '[1,"x"]\n', lfs = "directory\n", lpeg = "3\n" })[name], result.stdout)
      end)
    end

    it("its own library in the binary", function()
      local result = sh [[
        unset MWRUN_LUA_DIR
        cd / && exec "$MWRUN" -e '
          for _, name in ipairs { "child_process", "emitter", "json", "process", "stream", "timers" } do
            assert(require("mw." .. name))
          end
          print(debug.getinfo(require("mw.emitter").new, "S").source)'
      ]]
      assert.equal("", result.stderr)
      assert.equal("@mw/emitter.lua\n", result.stdout)
    end)

    it("its library in MWRUN_LUA_DIR instead", function()
      local folder = fresh_folder { ["mw/init.lua"] = "return 'mine'", ["mw/more.lua"] = "return ..." }
      finally(function()
        folder:remove()
      end)
      local result = sh([[
        MWRUN_LUA_DIR=. "$MWRUN" -e 'print(require "mw") print((require "mw.more"))'
        MWRUN_LUA_DIR=$PWD "$MWRUN" -e 'print((pcall(require, "mw.emitter")))'
      ]], { cwd = folder.path })
      assert.equal(("mine\t%s/mw/init.lua\nmw.more\nfalse\n"):format(folder.path), result.stdout)
    end)

    it("its library there after process.chdir too", function()
      local directory = os.getenv "MWRUN_LUA_DIR"
      if not directory then
        return pending "MWRUN_LUA_DIR is not set"
      end
      local result = sh(([[
        cd %q/mw && MWRUN_LUA_DIR=.. "$MWRUN" -e '
          require("mw.process").chdir "/"
          print(type(require("mw.json").encode))'
      ]]):format(directory))
      assert.equal("function\n", result.stdout)
    end)

    it("the library in the binary with -E, or where MWRUN_LUA_DIR is empty", function()
      local result = sh [[
        MWRUN_LUA_DIR=/nowhere "$MWRUN" -E -e 'print(type(require "mw"))'
        MWRUN_LUA_DIR= "$MWRUN" -e 'print(type(require "mw"))'
      ]]
      assert.equal("table\ntable\n", result.stdout)
    end)

    it("names the file of a module that it cannot load", function()
      local folder = fresh_folder { ["mw/broken.lua"] = "x = = 1" }
      finally(function()
        folder:remove()
      end)
      local result = sh([[MWRUN_LUA_DIR=$PWD "$MWRUN" -e 'require "mw.broken"']], { cwd = folder.path })
      local file = folder.path .. "/mw/broken.lua"
      local message = ("error loading module 'mw.broken' from file '%s':\n\t%s:1: "):format(file, file)
      assert.matches(message, result.stderr, 1, true)
    end)

    it("no module mw.* where there is none, and says where it looked", function()
      local embedded = sh([[unset MWRUN_LUA_DIR; exec "$MWRUN" -e 'require "mw.nowhere"']])
      assert.matches("module 'mw.nowhere' not found:", embedded.stderr, 1, true)
      assert.matches("\n\tno module 'mw.nowhere' in mwrun\n", embedded.stderr, 1, true)
      local tree = sh([[MWRUN_LUA_DIR=/nowhere exec "$MWRUN" -e 'require "mw"']])
      assert.matches("\n\tMWRUN_LUA_DIR is set:\n\tno file '/nowhere/mw.lua'\n", tree.stderr, 1, true)
    end)
  end)

  it("runs busted", function()
    if child_process.exec_sync("command -v busted").status ~= 0 then
      return pending "busted is not installed"
    end
    local folder = fresh_folder {
      ["spec/some_spec.lua"] = [[
        describe("a spec", function()
          it("runs under mwrun", function() assert.truthy(require("mw.process").exec_path) end)
          it("waits", function() require("mw").sleep(2) end)
          it("fails", function() assert.equal(1, 2) end)
        end)
      ]],
    }
    finally(function()
      folder:remove()
    end)
    -- By name, since busted does not quote what it runs.
    local result = sh('PATH=$(dirname "$MWRUN"):$PATH busted --lua=mwrun -o TAP spec', { cwd = folder.path })
    local lines = "ok 1 - a spec runs under mwrun\nok 2 - a spec waits\nnot ok 3 - a spec fails\n"
    assert.matches(lines, result.stdout, 1, true)
    assert.equal(1, result.status)
  end)

  describe("without standard descriptors", function()
    it("runs", function()
      local folder = fresh_folder()
      finally(function()
        folder:remove()
      end)
      local result = sh([[
        "$MWRUN" -e '
          local mw = require "mw"
          print "x"
          io.stderr:write "x"
          mw.process.stdout:write "x"
          mw.process.stderr:write "x"
          mw.sleep(1)
          local file = io.open("file", "w")
          file:write(mw.child_process.exec_sync("echo from a child").stdout)
        ' <&- >&- 2>&-
        echo $?
        cat file
      ]], { cwd = folder.path })
      assert.equal("0\nfrom a child\n", result.stdout)
    end)

    it("has a standard input that is at its end", function()
      local result = sh [["$MWRUN" -e '
        local stdin = require("mw.process").stdin
        stdin:on("data", print)
        stdin:on("end", function() print "end" end)' <&-]]
      assert.equal("end\n", result.stdout)
      assert.equal("", result.stderr)
    end)

    it("opens no file in their place", function()
      local result = sh [["$MWRUN" -e '
        for fd = 0, 2 do
          print(fd, require("luv").fs_readlink("/proc/self/fd/" .. fd) == "/dev/null")
        end' 3>&1 <&- >&- 2>&- 1>&3]]
      assert.equal("0\ttrue\n1\tfalse\n2\ttrue\n", result.stdout)
    end)
  end)
end)
