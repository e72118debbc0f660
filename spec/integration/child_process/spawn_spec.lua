local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"
local mw = require "mw"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"
local uv = require "luv"

local spawn = child_process.spawn
local exec_path = mw.process.exec_path

-- Prints `count` lines of eight bytes, each another.
local counting = "for line = 1, %d do io.write(('%%07d\\n'):format(line)) end"

local function counted(count)
  local lines = {}
  for line = 1, count do
    lines[line] = ("%07d\n"):format(line)
  end
  return table.concat(lines)
end

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local result = {}
  for key, item in pairs(value) do
    result[key] = copy(item)
  end
  return result
end

-- Kills what a test started and nobody waits for.
local function kill_stray(pid)
  mw.process.kill(pid, "SIGKILL")
  eventually(function()
    return not proc.is_alive(pid)
  end)
end

describe("The end of a child", function()
  -- CP-SPAWN-01
  it("gives its exit code and no signal to exit and to close", function()
    for _, code in ipairs { 0, 1, 42, 255 } do
      local result = children.sh("exit " .. code)
      assert.same({ "exit", n = 2, code }, children.event(result.events, "exit"))
      assert.same({ "close", n = 2, code }, children.event(result.events, "close"))
      assert.equal(code, result.child.exit_code)
      assert.is_nil(result.child.signal_code)
    end
  end)

  -- CP-SPAWN-01
  it("gives a code other than 0 and no signal after an error in its script", function()
    local result = children.lua "error 'no good'"
    assert.same({ "exit", n = 2, 1 }, children.event(result.events, "exit"))
    assert.same({ "close", n = 2, 1 }, children.event(result.events, "close"))
    assert.matches("no good", result.stderr, 1, true)
  end)

  -- CP-SPAWN-02
  it("by a signal gives its name and no code", function()
    for _, signal in ipairs { "SIGTERM", "SIGKILL", "SIGHUP", "SIGUSR2", "SIGABRT" } do
      local child = spawn("cat", {}, {})
      assert.is_nil(child.signal_code)
      assert.is_true(child:kill(signal))
      assert.is_nil(child.signal_code)
      local result = children.finish(child)
      assert.same({ "exit", n = 2, nil, signal }, children.event(result.events, "exit"))
      assert.same({ "close", n = 2, nil, signal }, children.event(result.events, "close"))
      assert.equal(signal, child.signal_code)
      assert.is_nil(child.exit_code)
    end
  end)

  -- CP-SPAWN-02
  it("is not mixed up with an exit code above 128", function()
    local result = children.sh "exit 143"
    assert.equal(143, result.code)
    assert.is_nil(result.signal)
  end)

  -- CP-SPAWN-02
  it("reaches every listener of exit, also behind one that was taken back", function()
    local child = spawn("cat", {}, {})
    local seen = {}
    local function taken_back()
      seen[#seen + 1] = "taken back"
    end
    child:on("exit", function(...)
      seen[#seen + 1] = table.pack("first", ...)
    end)
    child:on("exit", taken_back)
    child:once("exit", function(...)
      seen[#seen + 1] = table.pack("second", ...)
    end)
    child:off("exit", taken_back)
    child:kill()
    child:wait "close"
    assert.same({ { n = 3, "first", nil, "SIGTERM" }, { n = 3, "second", nil, "SIGTERM" } }, seen)
  end)
end)

describe("The event spawn", function()
  -- CP-SPAWN-03
  it("comes once, after the call, before all other events", function()
    local child = spawn("/bin/sh", { "-c", "echo out; echo err >&2" })
    local order = {}
    local function note(emitter, event, what)
      emitter:on(event, function()
        order[#order + 1] = what
      end)
    end
    note(child, "spawn", "spawn")
    note(child, "exit", "exit")
    note(child, "close", "close")
    note(child.stdout, "data", "out")
    note(child.stdout, "end", "end of out")
    note(child.stderr, "data", "err")
    note(child.stderr, "end", "end of err")
    assert.same({}, order)
    child:wait "close"
    local count = 0
    for _, what in ipairs(order) do
      count = count + (what == "spawn" and 1 or 0)
    end
    assert.equal("spawn", order[1])
    assert.equal(1, count)
    assert.equal("close", order[#order])
    assert.equal(7, #order)
  end)

  -- CP-SPAWN-03
  it("comes first also where the child has ended before the caller returns", function()
    local child = spawn "true"
    local events = children.record(child)
    eventually(function()
      return not proc.is_alive(child.pid)
    end)
    children.closed(events)
    assert.equal("spawn exit close", children.names(events))

    child = spawn "true"
    repeat
      local is_alive = proc.is_alive(child.pid)
    until not is_alive
    events = children.record(child)
    children.closed(events)
    assert.equal("spawn exit close", children.names(events))
  end)
end)

describe("A spawn that fails", function()
  local folder

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)

  -- CP-SPAWN-05
  it("emits error, then close with the negative number of the error, and never exit", function()
    local child = spawn("/no/such/program", { "one", "two" })
    local events = children.record(child)
    assert.is_nil(child.pid)
    assert.same({}, events)
    children.closed(events)
    assert.equal("error close", children.names(events))
    assert.same({ "close", n = 2, -2 }, events[2])
    assert.equal(-2, child.exit_code)

    local err = events[1][2]
    assert.equal("ENOENT", err.code)
    assert.equal(-2, err.errno)
    assert.equal("spawn /no/such/program", err.syscall)
    assert.equal("/no/such/program", err.path)
    assert.same({ "one", "two" }, err.spawn_args)
    assert.equal("ENOENT: no such file or directory, spawn /no/such/program", tostring(err))
  end)

  -- CP-SPAWN-05
  it("closes without waiting for pipes, channel or readers", function()
    for _, stdio in ipairs { "pipe", "ignore", { "pipe", "pipe", "pipe", "pipe", "ipc" }, { "ignore", "pipe" } } do
      local events = children.record(spawn("/no/such/program", {}, { stdio = stdio }))
      children.closed(events)
      assert.equal("error", events[1][1])
      assert.is_nil(children.event(events, "exit"))
      assert.is_nil(children.event(events, "spawn"))
    end
  end)

  -- CP-SPAWN-06
  it("leaves streams that just end", function()
    local child = spawn "/no/such/program"
    local seen = {}
    assert.equal(child.stdin, child.stdio[0])
    assert.equal(child.stdout, child.stdio[1])
    assert.equal(child.stderr, child.stdio[2])
    for number = 1, 2 do
      child.stdio[number]:on("data", function()
        seen[#seen + 1] = "data"
      end)
      child.stdio[number]:on("end", function()
        seen[#seen + 1] = "end"
      end)
    end
    local answers = {}
    child.stdin:on("error", function() end)
    child.stdin:write("lost", function(err)
      answers[#answers + 1] = err or "taken"
    end)
    local stdout, stderr = child.stdout, child.stderr
    local events = children.record(child)
    children.closed(events)
    eventually(function()
      return #seen == 2 and #answers == 1
    end)
    assert.same({ "end", "end" }, seen)
    assert.equal(stdout, child.stdout)
    assert.equal(stderr, child.stderr)
    assert.equal("string", type(answers[1].code))
  end)

  -- CP-SPAWN-06
  it("since its abort token was aborted before leaves streams that end, too, and starts nothing", function()
    local controller = mw.abort_controller()
    controller:abort "no more"
    local path = folder.path .. "/started"
    local child = spawn("touch", { path }, { signal = controller.signal, stdio = { "pipe", "pipe", "pipe", "ipc" } })
    assert.is_nil(child.pid)
    local result = children.finish(child)
    assert.equal("error close", children.names(result.events))
    assert.equal("ABORT_ERR", result.error.code)
    assert.equal("no more", result.error.cause)
    assert.equal("", result.stdout .. result.stderr)
    assert.is_false(child.connected)
    assert.is_nil(uv.fs_stat(path))
  end)

  -- CP-SPAWN-07
  it("reports a folder that is not there, and names it", function()
    local result = children.run("true", {}, { cwd = "/no/such/folder" })
    assert.equal("ENOENT", result.error.code)
    assert.equal("spawn true", result.error.syscall)
    assert.matches("/no/such/folder", tostring(result.error), 1, true)
    assert.is_nil(result.child.pid)
    assert.equal("error close", children.names(result.events))
    assert.equal(-2, result.code)
  end)

  -- CP-SPAWN-07
  it("reports a file that may not be executed", function()
    local path = folder:write("plain", "#!/bin/sh\nexit 0\n", tonumber("644", 8))
    local result = children.run(path)
    assert.equal("EACCES", result.error.code)
    assert.equal("spawn " .. path, result.error.syscall)
    assert.equal(path, result.error.path)
    assert.is_nil(result.child.pid)
    assert.equal("error close", children.names(result.events))
    assert.equal(-13, result.code)
  end)

  -- CP-SPAWN-08
  it("for want of descriptors emits EMFILE, has no streams, and works again later", function()
    local result = children.lua(
      [[
        local child_process = require "mw.child_process"
        local eventually = require "spec.support.eventually"
        local leaks = require "spec.support.leaks"
        assert(child_process.spawn("true"):wait "exit" == 0)
        local before = leaks.descriptor_count()
        -- One free descriptor after the other, from none to enough.
        local taken = {}
        local function open()
          return io.open "/dev/null"
        end
        for file in open do
          taken[#taken + 1] = file
        end
        local started, failures = nil, 0
        repeat
          local child = child_process.spawn "true"
          local events = {}
          for _, name in ipairs { "spawn", "error", "exit", "close" } do
            child:on(name, function(value)
              events[#events + 1] = name
              events[name] = value
            end)
          end
          started = child.pid
          if not started then
            failures = failures + 1
            assert(child.stdin == nil and child.stdout == nil and child.stderr == nil and child.stdio == nil)
            assert(child:ref() == child and child:unref() == child and child:kill() == false)
          end
          eventually(function()
            return events.close
          end)
          local names = table.concat(events, " ")
          if started then
            assert(names == "spawn exit close", names)
          else
            assert(names == "error close", names)
            assert(events.error.code == "EMFILE" and events.error.syscall == "spawn true", tostring(events.error))
            assert(events.close == -24)
            table.remove(taken):close()
          end
        until started
        -- stdin, stdout, stderr: two each; the report of the start: two.
        print(failures)
        for _, file in ipairs(taken) do
          file:close()
        end
        assert(leaks.descriptor_count() == before, "descriptors left")
      ]],
      { limits = { nofile = 64 } }
    )
    assert.equal("", result.stderr)
    assert.equal(0, result.code)
    assert.equal("8\n", result.stdout)
  end)

  -- CP-SPAWN-09: here every refusal is the event.
  it("for want of rights emits EPERM and raises nothing", function()
    local result = children.lua [[
      local process = require "mw.process"
      local child_process = require "mw.child_process"
      local eventually = require "spec.support.eventually"
      local leaks = require "spec.support.leaks"
      assert(child_process.spawn("true"):wait "exit" == 0)
      if process.getuid() == 0 then
        assert(process.setgid(65534))
        assert(process.setuid(65534))
      end
      for _, opts in ipairs { { uid = 0 }, { gid = 0 }, { limits = { nofile = 1 << 40 } } } do
        local before = leaks.descriptor_count()
        local child = child_process.spawn("true", {}, opts)
        local names = {}
        for _, name in ipairs { "spawn", "exit", "error" } do
          child:on(name, function(err)
            names[#names + 1] = name .. " " .. err.code .. " " .. err.syscall
          end)
        end
        assert(child.pid == nil)
        local closed
        child:on("close", function(code)
          closed = code
        end)
        eventually(function()
          return closed
        end)
        print(table.concat(names, ","), closed)
        assert(leaks.descriptor_count() == before)
      end
    ]]
    assert.equal("", result.stderr)
    assert.equal(("error EPERM spawn true\t-1\n"):rep(3), result.stdout)
    assert.equal(0, result.code)
  end)
end)

describe("wait", function()
  it("for an event that has come gives its values at once", function()
    for _, stdio in ipairs { "pipe", "ignore" } do
      local child = spawn("/bin/sh", { "-c", "exit 3" }, { stdio = stdio })
      for _ = 1, 2 do
        assert.same({ n = 2, 3 }, table.pack(child:wait "exit"))
        assert.same({ n = 2, 3 }, table.pack(child:wait "close"))
        assert.same({ n = 1, true }, table.pack(child:wait "spawn"))
      end
      local value, err = child:wait "message"
      assert.is_nil(value)
      assert.equal("ERR_STREAM_DESTROYED", err.code)
    end
  end)

  it("for the end of a child that never was gives the error", function()
    local child = spawn "/no/such/program"
    for _ = 1, 2 do
      local value, err = child:wait "exit"
      assert.is_nil(value)
      assert.equal("ENOENT", err.code)
    end
    assert.same({ n = 2, -2 }, table.pack(child:wait "close"))
    assert.same({ n = 2, -2 }, table.pack(child:wait "close"))
    assert.equal("ENOENT", select(2, child:wait "spawn").code)
  end)

  it("after what was read to its end gives the end of the child", function()
    for _ = 1, 20 do
      local child = spawn("echo", { "line" })
      for line in child.stdout:lines() do
        assert.equal("line", line)
      end
      assert.equal(0, child:wait "exit")
      assert.equal(0, child:wait "close")
    end
  end)
end)

describe("The event close", function()
  -- CP-SPAWN-10
  it("follows exit, and waits for whoever else has the pipes", function()
    for descriptor = 1, 4 do
      local command = ("{ read go; echo late >&%d; } <&5 5<&- &"):format(descriptor)
      local child = spawn("/bin/sh", { "-c", command }, { stdio = { "ignore", "pipe", "pipe", "pipe", "pipe", "pipe" } })
      local events = children.record(child)
      local text = children.collect(child.stdio[descriptor])
      child:wait "exit"
      assert.equal("spawn exit", children.names(events))
      assert.equal("", text())
      child.stdio[5]:write "go\n"
      children.closed(events)
      assert.equal("late\n", text())
      assert.equal("spawn exit close", children.names(events))
    end
  end)

  -- CP-SPAWN-10
  it("waits for the channel", function()
    local child = spawn("/bin/sh", { "-c", "cat >/dev/null 2>&1 <&4 4<&- &" }, {
      stdio = { "ignore", "pipe", "pipe", "ipc", "pipe" },
    })
    local events = children.record(child)
    child:wait "exit"
    assert.is_true(child.connected)
    child.stdio[4]:finish()
    children.closed(events)
    assert.equal("spawn exit disconnect close", children.names(events))
    assert.is_false(child.connected)
  end)

  -- CP-SPAWN-10
  it("does not wait for whoever has stdin", function()
    local child = spawn("/bin/sh", { "-c", "sleep 100 <&0 >/dev/null 2>&1 & echo $!" })
    local pid = children.collect(child.stdout)
    local code = child:wait("close", 5000)
    assert.equal(0, code)
    assert.is_true(proc.is_alive(tonumber(pid())))
    kill_stray(tonumber(pid()))
  end)

  -- CP-SPAWN-12
  it("comes where nobody reads the streams", function()
    for _, size in ipairs { 0, 10240, 65536 } do
      local command = ("head -c %d /dev/zero; head -c %d /dev/zero >&2; head -c 10 /dev/zero >&3"):format(size, size)
      local child = spawn("/bin/sh", { "-c", command }, { stdio = { "pipe", "pipe", "pipe", "pipe" } })
      assert.equal(0, child:wait("close", 10000))
    end
  end)

  -- CP-SPAWN-13
  it("comes after every byte of 500 000", function()
    local child = children.start_lua(counting:format(62500))
    local text = children.collect(child.stdout)
    local at_close
    child:on("close", function()
      at_close = text()
    end)
    child:wait "close"
    assert.equal(500000, #at_close)
    assert.is_true(at_close == counted(62500))
  end)

  -- CP-SPAWN-13
  it("comes after every byte of 1 MB in each of 40 successive children", function()
    local expected = counted(131072)
    local before = leaks.descriptor_count()
    for _ = 1, 40 do
      local result = children.lua(counting:format(131072))
      assert.equal(0, result.code)
      assert.is_true(result.stdout == expected)
    end
    assert.equal(before, leaks.descriptor_count())
  end)
end)

describe("A child", function()
  -- CP-SPAWN-14
  it("has its pid at once", function()
    local child = spawn("cat", {}, {})
    assert.equal("integer", math.type(child.pid))
    assert.equal(mw.process.pid, proc.stat(child.pid).ppid)
    child.stdin:finish()
    child:wait "close"
  end)

  -- CP-SPAWN-14
  it("tells what is really run", function()
    local child = spawn("echo", { "a", "b" })
    assert.equal("echo", child.spawn_file)
    assert.same({ "echo", "a", "b" }, child.spawn_args)
    child:wait "close"

    child = spawn("echo", { "a" }, { argv0 = "other" })
    assert.equal("echo", child.spawn_file)
    assert.same({ "other", "a" }, child.spawn_args)
    child:wait "close"

    child = spawn("echo a", { "b" }, { shell = true })
    assert.equal("/bin/sh", child.spawn_file)
    assert.same({ "/bin/sh", "-c", "echo a b" }, child.spawn_args)
    child:wait "close"

    child = spawn("/no/such/program", { "a" })
    assert.equal("/no/such/program", child.spawn_file)
    assert.same({ "/no/such/program", "a" }, child.spawn_args)
    children.closed(children.finish(child).events)
  end)

  -- CP-SPAWN-14
  it("that is forked tells the runtime's binary", function()
    local folder = scratch.new()
    local script = folder:write("script.lua", "")
    local child = child_process.fork(script, { "a" }, { exec_argv = { "-W" } })
    assert.equal(exec_path, child.spawn_file)
    assert.same({ exec_path, "-W", script, "a" }, child.spawn_args)
    assert.equal(0, child:wait "close")
    folder:remove()
  end)

  -- CP-SPAWN-15
  it("gets no end of another child's pipes: three in a chain end one after the other", function()
    local echo = spawn("echo", { "hello\nnode\nand\nworld" })
    local grep = spawn("grep", { "o" })
    local sed = spawn("sed", { "s/o/O/" })
    echo.stdout:pipe(grep.stdin)
    grep.stdout:on("data", function(chunk)
      sed.stdin:write(chunk)
    end)
    grep.stdout:on("end", function()
      sed.stdin:finish()
    end)
    local result = children.finish(sed)
    assert.equal("hellO\nnOde\nwOrld\n", result.stdout)
    assert.equal(0, result.code)
    eventually(function()
      return echo.exit_code == 0 and grep.exit_code == 0
    end)
  end)

  -- CP-SPAWN-15
  it("has no descriptor but what was named, whatever the parent has opened", function()
    local file = assert(io.open "/dev/null")
    local popen = assert(io.popen("cat", "w"))
    local server = uv.new_tcp()
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(1, function() end))
    local sibling = spawn("cat", {}, { stdio = { "pipe", "pipe", "pipe", "pipe", "ipc" } })
    -- `ls` adds the descriptor it lists with, the lowest that is free.
    assert.equal("0\n1\n2\n3\n", children.run("ls", { "/proc/self/fd" }).stdout)
    local result = children.run("ls", { "/proc/self/fd" }, {
      stdio = { "ignore", "pipe", "ignore", "ignore", "pipe", "ignore", "ipc" },
    })
    assert.equal("0\n1\n2\n3\n4\n6\n", result.stdout)
    file:close()
    popen:close()
    server:close()
    sibling.stdin:finish()
    sibling:wait "close"
  end)

  -- CP-SPAWN-16
  it("leaves the tables that it was given as they were", function()
    local folder = scratch.new()
    local script = folder:write("script.lua", "")
    local function check(start, ...)
      local given = table.pack(...)
      local before = copy(given)
      local child = start(...)
      children.closed(children.record(child))
      assert.same(before, given)
    end
    local options = {
      cwd = "/",
      env = { PATH = os.getenv "PATH", EMPTY = "" },
      stdio = { "ignore" },
      shell = false,
      limits = { core = 0, nofile = { 64, 128 } },
      kill_signal = "sigterm",
      timeout = 5000,
    }
    check(spawn, "true", { "a", 1 }, options)
    options.shell = true
    check(spawn, "true", { "a", 1 }, options)
    options.stdio = { [5] = "ipc" }
    check(spawn, "true", {}, options)
    check(spawn, "/no/such/program", {}, options)
    options.exec_argv, options.stdio = { "-W" }, { "ignore", "ignore", "ignore", "ipc" }
    options.cwd, options.env.MWRUN_LUA_DIR = nil, os.getenv "MWRUN_LUA_DIR"
    check(child_process.fork, script, { "a", 1 }, options)
    folder:remove()
  end)
end)

describe("The streams of a child", function()
  it("have the methods of their direction only", function()
    local child = spawn "cat"
    assert.is_nil(child.stdin.read)
    assert.is_nil(child.stdin.resume)
    assert.is_nil(child.stdout.write)
    assert.is_nil(child.stdout.finish)
    child.stdin:finish()
    assert.equal(0, child:wait "close")
  end)

  it("are read ahead by a buffer's worth, so that a child need not wait for a reader", function()
    local child = spawn("sh", { "-c", "head -c 100000 /dev/zero; exit 4" })
    assert.equal(4, child:wait("close", 10000))
    local kept = #child.stdout:read()
    assert.is_true(kept >= 65536 and kept <= 100000)
    assert.is_nil((child.stdout:read()))
  end)
end)

describe("The loop", function()
  local parent = [[
    local child_process = require "mw.child_process"
    local child = child_process.spawn("cat", {}, { stdio = %s })
    print(child.pid)
    io.stdout:flush()
    child:on("exit", function(code, signal)
      print("exit", code, signal)
    end)
    %s
  ]]

  -- CP-SPAWN-17
  it("goes on while a child runs", function()
    local started = children.start_lua(parent:format([[{ 0, "pipe", "pipe" }]], ""))
    local text = children.collect(started.stdout)
    eventually(function()
      return text():find "\n"
    end)
    -- The child reads what we write, and ends with it.
    local events = children.record(started)
    assert.is_true(proc.is_alive(tonumber(text():match "%d+")))
    assert.same({}, events)
    started.stdin:finish()
    children.closed(events)
    assert.matches("exit\t0\tnil\n$", text())
    assert.equal(0, started.exit_code)
  end)

  -- CP-SPAWN-17
  it("ends although a child runs whose unref() was called, pipes and channel or not", function()
    for _, stdio in ipairs { "'ignore'", "'pipe'", "{ 'pipe', 'pipe', 'pipe', 'pipe', 'ipc' }" } do
      -- What the child reads from is held open by nobody but the parent.
      local code = parent:format(stdio, "child:unref()"):gsub('"cat", {}', '"sleep", { "100" }')
      local result = children.lua(code)
      local pid = tonumber(result.stdout:match "^(%d+)\n$")
      assert.equal(0, result.code)
      assert.is_true(proc.is_alive(pid))
      kill_stray(pid)
    end
  end)

  -- CP-SPAWN-17
  it("goes on again after ref()", function()
    local more = [[
      child:unref()
      child:ref()
      require("mw.timers").set_timeout(function()
        child.stdin:finish()
      end, 50):unref()
    ]]
    local result = children.lua(parent:format("'pipe'", more))
    assert.matches("exit\t0\tnil\n$", result.stdout)
    assert.equal(0, result.code)
  end)
end)
