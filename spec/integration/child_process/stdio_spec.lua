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

-- Text whose every part can be told from every other.
local function numbered(size)
  local lines = {}
  for line = 1, size // 8 do
    lines[line] = ("%07d\n"):format(line)
  end
  return table.concat(lines)
end

-- What the stdio option is refused with; nothing may have been started or
-- opened.
local function refusal(stdio, start)
  local before = leaks.descriptor_count()
  local ok, message = pcall(start or spawn, "true", {}, { stdio = stdio })
  assert.is_false(ok)
  assert.equal(before, leaks.descriptor_count())
  assert.same({}, leaks.children())
  return message
end

describe("stdio by default", function()
  -- CP-STDIO-01
  it("is three pipes: one to write to, two to read from", function()
    local child = spawn "cat"
    assert.is_true(child.stdin.writable_side)
    assert.is_nil(child.stdin.readable_side)
    for number = 1, 2 do
      assert.is_true(child.stdio[number].readable_side)
      assert.is_nil(child.stdio[number].writable_side)
    end
    assert.is_nil(child.stdio[3])
    child.stdin:finish()
    assert.equal(0, child:wait "close")
  end)

  -- CP-STDIO-01
  it("carries one message after the other, there and back", function()
    local child = spawn "cat"
    for round = 1, 100 do
      local message = ("message %d\0\n"):format(round)
      assert.is_true(child.stdin:write(message))
      assert.equal(message, child.stdout:read())
    end
    child.stdin:finish()
    assert.is_nil((child.stdout:read()))
    assert.equal(0, child:wait "close")
  end)

  -- CP-STDIO-01
  it("gives the child its end of file by finish() and by nothing else", function()
    local child = spawn "cat"
    local events = children.record(child)
    child.stdin:write "some"
    assert.equal("some", child.stdout:read())
    child.stdin:write ""
    assert.equal("spawn", children.names(events))
    assert.is_true(proc.is_alive(child.pid))
    child.stdin:finish "last"
    assert.equal("last", child.stdout:read())
    children.closed(events)
    assert.equal(0, child.exit_code)
  end)
end)

describe("The list stdio", function()
  -- What a child has at its descriptors, as /proc shows it.
  local function descriptors(stdio)
    local child = spawn("/bin/sh", { "-c", "kill -STOP $$" }, { stdio = stdio })
    -- By then it has closed what it opens to be loaded.
    eventually(function()
      return proc.stat(child.pid).state == "T"
    end)
    local found = leaks.descriptors(child.pid)
    child:kill "SIGKILL"
    children.closed(children.record(child))
    return found, child
  end

  local function kinds(stdio)
    local found, child = descriptors(stdio)
    local names = {}
    for number = 0, 5 do
      local name = found[number] and found[number]:match "^%a+" or found[number]
      names[#names + 1] = name or "-"
      assert.equal(name == "pipe" or name == "socket", child.stdio[number] ~= nil)
    end
    return table.concat(names, " ")
  end

  -- CP-STDIO-03
  it("that is short is filled up with pipes for 0 to 2 and with nothing from 3 up", function()
    assert.equal("pipe pipe pipe - - -", kinds {})
    assert.equal("pipe pipe pipe - - -", kinds { "pipe" })
    assert.equal("pipe /dev/null pipe - - -", kinds { [2] = "ignore" })
    assert.equal("pipe pipe /dev/null - - -", kinds { nil, nil, "ignore" })
    assert.equal("pipe pipe pipe socket - -", kinds { nil, nil, nil, "pipe" })
    assert.equal("pipe pipe pipe - - socket", kinds { [6] = "pipe" })
    assert.equal("pipe pipe pipe - socket -", kinds { "pipe", [4] = "ignore", [5] = "pipe" })
  end)

  -- CP-STDIO-04
  it("may be one word for all three", function()
    assert.equal("pipe pipe pipe - - -", kinds "pipe")
    assert.equal("pipe pipe pipe - - -", kinds "overlapped")
    assert.equal("/dev/null /dev/null /dev/null - - -", kinds { "ignore", "ignore", "ignore" })
    local ignored = spawn("cat", {}, { stdio = "ignore" })
    assert.same({}, ignored.stdio)
    assert.is_nil(ignored.stdin or ignored.stdout or ignored.stderr)
    assert.equal(0, ignored:wait "close")
    local inherited = spawn("true", {}, { stdio = "inherit" })
    assert.same({}, inherited.stdio)
    assert.equal(0, inherited:wait "close")
  end)

  -- CP-STDIO-04
  it("takes overlapped for pipe", function()
    assert.equal("pipe pipe pipe socket - -", kinds { "overlapped", "overlapped", "overlapped", "overlapped" })
    local child = spawn("cat", {}, { stdio = "overlapped" })
    child.stdin:finish "through"
    assert.equal("through", children.finish(child).stdout)
  end)

  -- CP-STDIO-04
  it("takes no other word and no number", function()
    for _, word in ipairs { "foo", "", "Pipe", "ipc", "pipe " } do
      assert.matches("bad option 'stdio'", refusal(word), 1, true)
    end
    for _, value in ipairs { 0, 1, -1, 1.5, true, print } do
      assert.matches("bad option 'stdio'", refusal(value), 1, true)
    end
  end)

  -- CP-STDIO-05
  it("with an item that is none is refused, and leaves nothing open", function()
    for _, item in ipairs { "foo", true, {}, -1, 1.5, 0 / 0, print, { fd = "1" }, io.stdout } do
      assert.matches("bad item 4 of option 'stdio'", refusal { "pipe", "pipe", "pipe", item }, 1, true)
    end
    local closed = uv.new_pipe(false)
    closed:close()
    assert.matches("bad item 1 of option 'stdio'", refusal { closed }, 1, true)
    local before = leaks.descriptor_count()
    for _ = 1, 100 do
      refusal { "pipe", "pipe", "pipe", "pipe", "ipc", "foo" }
    end
    assert.equal(before, leaks.descriptor_count())
  end)

  -- CP-STDIO-05
  it("that is no list is refused", function()
    assert.matches("list expected", refusal { stdin = "pipe" }, 1, true)
    assert.matches("list expected", refusal { [0] = "pipe" }, 1, true)
    assert.matches("list expected", refusal { [1.5] = "pipe" }, 1, true)
    assert.matches("list expected", refusal { [1 << 40] = "pipe" }, 1, true)
  end)

  -- CP-STDIO-13
  it("has one channel at most, and none for a child that is waited for", function()
    assert.matches("ERR_IPC_ONE_PIPE", refusal { "ipc", "ipc" }, 1, true)
    assert.matches("ERR_IPC_ONE_PIPE", refusal { "pipe", "pipe", "pipe", "ipc", "pipe", "ipc" }, 1, true)
    for _, name in ipairs { "spawn_sync", "exec_file_sync" } do
      assert.matches("ERR_IPC_SYNC_FORK", refusal({ "pipe", "ipc" }, child_process[name]), 1, true)
    end
    local before = leaks.descriptor_count()
    local ok, message = pcall(child_process.exec_sync, "true", { stdio = { "pipe", "pipe", "pipe", "ipc" } })
    assert.is_false(ok)
    assert.matches("ERR_IPC_SYNC_FORK", message, 1, true)
    assert.equal(before, leaks.descriptor_count())
  end)
end)

describe("An inherited descriptor", function()
  -- CP-STDIO-06
  it("is the parent's own, also of a child's child", function()
    local code = [[
      local spawn = require("mw.child_process").spawn
      local exec_path = require("mw.process").exec_path
      print "outer"
      local child = spawn(exec_path, { "-e", [=[
        print "middle"
        local spawn = require("mw.child_process").spawn
        local child = spawn("/bin/sh", { "-c", "cat; echo inner; echo wrong >&2" }, { stdio = "inherit" })
        print(child:wait "close")
      ]=] }, { stdio = "inherit" })
      print(child:wait "close")
    ]]
    local child = children.start_lua(code)
    child.stdin:finish "given\n"
    local result = children.finish(child)
    assert.equal("outer\nmiddle\ngiven\ninner\n0\tnil\n0\tnil\n", result.stdout)
    assert.equal("wrong\n", result.stderr)
  end)

  -- CP-STDIO-06
  it("takes 100 kB without a cut, however slowly they are read", function()
    local code = [[
      local process = require "mw.process"
      process.stdout:write "first\n"
      process.stdin:resume()
      local child = require("mw.child_process").spawn("head", { "-c", "100000", "/dev/zero" }, { stdio = "inherit" })
      local code, signal = child:wait "close"
      process.stdin:pause()
      process.exit(code or 1)
    ]]
    local child = children.start_lua(code)
    local closed
    child:on("close", function(...)
      closed = table.pack(...)
    end)
    assert.equal("first\n", child.stdout:read(6))
    local size = 0
    while true do
      local chunk = child.stdout:read(1000)
      if not chunk then
        break
      end
      size = size + #chunk
    end
    assert.equal(100000, size)
    eventually(function()
      return closed
    end)
    assert.same({ n = 2, 0 }, closed)
  end)

  -- CP-STDIO-06
  it("from 3 up is inherited too", function()
    local pipe = assert(uv.pipe())
    -- The numbers are known only in a process whose descriptors we chose.
    local result = children.lua(
      [[
        local child = require("mw.child_process").spawn("/bin/sh", { "-c", "echo through >&3" }, {
          stdio = { "ignore", "ignore", "ignore", "inherit" },
        })
        print(child:wait "close")
      ]],
      { stdio = { "ignore", "pipe", "pipe", pipe.write } }
    )
    uv.fs_close(pipe.write)
    assert.equal("0\tnil\n", result.stdout)
    assert.equal("through\n", uv.fs_read(pipe.read, 100))
    uv.fs_close(pipe.read)
  end)

  -- CP-STDIO-06
  it("gets what print has not written yet before what the child writes", function()
    local result = children.lua [[
      print "one"
      io.write "two "
      local child = require("mw.child_process").spawn("echo", { "three" }, { stdio = "inherit" })
      print(child:wait "close")
    ]]
    assert.equal("one\ntwo three\n0\tnil\n", result.stdout)
  end)
end)

describe("A number in stdio", function()
  local folder

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)

  -- CP-STDIO-07
  it("passes that descriptor of the parent, which keeps its own", function()
    local number = assert(uv.fs_open(folder.path .. "/out", "w", tonumber("644", 8)))
    for round = 1, 2 do
      local child = spawn("/bin/sh", { "-c", "echo out $0; echo err $0 >&2; echo five $0 >&5", tostring(round) }, {
        stdio = { "ignore", number, number, "ignore", "ignore", number },
      })
      assert.is_nil(child.stdout)
      assert.same({}, child.stdio)
      assert.equal(0, child:wait "close")
    end
    assert(uv.fs_write(number, "parent\n"))
    uv.fs_close(number)
    assert.equal("out 1\nerr 1\nfive 1\nout 2\nerr 2\nfive 2\nparent\n", folder:read "out")
  end)

  -- CP-STDIO-07
  it("may be 0, whole floats count, and numbers may be exchanged", function()
    local child = children.start_lua [[
      local child = require("mw.child_process").spawn("/bin/sh", { "-c", "cat; echo to 1; echo to 2 >&2" }, {
        stdio = { 0, 2.0, 1 },
      })
      print(child:wait "close")
    ]]
    child.stdin:finish "from 0\n"
    local result = children.finish(child)
    assert.equal("from 0\nto 1\n", result.stderr)
    assert.equal("to 2\n0\tnil\n", result.stdout)
  end)

  -- CP-STDIO-07
  it("that is not open is the error EBADF", function()
    local result = children.run("true", {}, { stdio = { "pipe", "pipe", "pipe", 987654 } })
    assert.equal("EBADF", result.error.code)
    assert.equal("error close", children.names(result.events))
  end)
end)

describe("A stream in stdio", function()
  -- CP-STDIO-08
  it("moves 1 MB from child to child, and the parent reads none of it", function()
    local text = numbered(1 << 20)
    local cat = spawn "cat"
    local grep = spawn("grep", { "-v", "x" }, { stdio = { cat.stdout, "pipe", "inherit" } })
    local sum = spawn("md5sum", {}, { stdio = { grep.stdout, "pipe", "inherit" } })
    local read = 0
    for _, stream in ipairs { cat.stdout, grep.stdout } do
      stream:on("data", function(chunk)
        read = read + #chunk
      end)
    end
    cat.stdin:finish(text)
    local events = { children.record(cat), children.record(grep) }
    local result = children.finish(sum)
    children.closed(events[1])
    children.closed(events[2])
    assert.equal(0, read)
    local direct = spawn "md5sum"
    direct.stdin:finish(text)
    assert.equal(children.finish(direct).stdout, result.stdout)
    assert.equal(0, cat.exit_code)
    assert.equal(0, grep.exit_code)
  end)

  -- CP-STDIO-08
  it("that is being read is not read any more from then on", function()
    local child = spawn "cat"
    local before = children.collect(child.stdout)
    child.stdin:write "before\n"
    eventually(function()
      return before() == "before\n"
    end)
    local counter = spawn("wc", { "-c" }, { stdio = { child.stdout, "pipe", "inherit" } })
    assert.is_true(child.stdout:is_paused())
    local text = numbered(1 << 20)
    child.stdin:finish(text)
    assert.equal(("%d\n"):format(#text), children.finish(counter).stdout)
    assert.equal("before\n", before())
  end)

  -- CP-STDIO-08
  it("may be the parent's standard output", function()
    local result = children.lua [[
      local process = require "mw.process"
      process.stdout:write "before "
      local child = require("mw.child_process").spawn("echo", { "child" }, { stdio = { "ignore", process.stdout, "ignore" } })
      child:wait "close"
      process.stdout:write "after"
    ]]
    assert.equal("before child\nafter", result.stdout)
  end)

  -- CP-STDIO-10
  it("may be an accepted socket, which the parent ends after the child", function()
    local server, client = uv.new_tcp(), uv.new_tcp()
    local accepted
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(1, function()
      accepted = uv.new_tcp()
      assert(server:accept(accepted))
    end))
    local received, ended = {}, false
    client:connect("127.0.0.1", server:getsockname().port, function(err)
      assert(not err, err)
      client:read_start(function(_, chunk)
        received[#received + 1] = chunk
        ended = ended or not chunk
      end)
    end)
    eventually(function()
      return accepted
    end)
    local code = "process = require 'mw.process' process.stdout:write(('x'):rep(300000)) process.stdout:write 'last'"
    local child = spawn(exec_path, { "-e", code }, { stdio = { "ignore", accepted, "pipe" } })
    local events = children.record(child)
    children.closed(events)
    assert.equal("spawn exit close", children.names(events))
    assert.is_false(ended)
    local answered
    accepted:write(" and the parent", function(err)
      answered = err or "written"
    end)
    eventually(function()
      return answered
    end)
    accepted:close()
    eventually(function()
      return ended
    end)
    assert.equal("written", answered)
    assert.equal(("x"):rep(300000) .. "last and the parent", table.concat(received))
    client:close()
    server:close()
  end)
end)

describe("A pipe above 2", function()
  -- CP-STDIO-11
  it("goes both ways", function()
    local child = spawn("/bin/sh", { "-c", "while read -r line; do echo \"got $line\" >&4; done <&4; echo end >&4" }, {
      stdio = { "ignore", "ignore", "inherit", "ignore", "pipe" },
    })
    local stream = child.stdio[4]
    assert.is_nil(child.stdio[3])
    assert.is_true(stream.readable_side and stream.writable_side)
    for round = 1, 20 do
      stream:write(("line %d\n"):format(round))
      assert.equal(("got line %d\n"):format(round), stream:read())
    end
    stream:finish()
    assert.equal("end\n", stream:read())
    assert.is_nil((stream:read()))
    assert.equal(0, child:wait "close")
  end)

  -- CP-STDIO-11
  it("carries 1 MB in each direction at once", function()
    local text = numbered(1 << 20)
    local child = spawn("/bin/sh", { "-c", "cat <&3 >&3" }, { stdio = { "ignore", "ignore", "inherit", "pipe" } })
    local events = children.record(child)
    local received = children.collect(child.stdio[3])
    child.stdio[3]:finish(text)
    children.closed(events)
    assert.is_true(received() == text)
  end)
end)

describe("A channel in stdio", function()
  -- CP-STDIO-12
  it("may stand at any place, and a child that looks at its stdin or stdout does not crash", function()
    local code = [[
      local process = require "mw.process"
      local _ = process.%s, process.%s.is_tty
      require("mw.timers").set_immediate(os.exit, 5)
    ]]
    for number, name in ipairs { "stdin", "stdout", "stderr" } do
      local stdio = { "pipe", "pipe", "pipe" }
      stdio[number] = "ipc"
      local child = children.start_lua(code:format(name, name), { stdio = stdio })
      assert.is_nil(child[name])
      assert.is_nil(child.stdio[number - 1])
      assert.is_true(child.connected)
      local result = children.finish(child)
      assert.equal(5, result.code)
      assert.equal("", (result.stderr or ""))
      assert.equal("disconnect", children.event(result.events, "disconnect")[1])
    end
  end)

  -- CP-STDIO-12
  it("is named to the child by its number", function()
    for number, stdio in pairs { [0] = { "ipc" }, [4] = { "pipe", "pipe", "pipe", "ignore", "ipc" } } do
      local result = children.sh("echo $MW_CHANNEL_FD $NODE_CHANNEL_FD; test -S /dev/fd/$MW_CHANNEL_FD", { stdio = stdio })
      assert.equal(("%d\n"):format(number), result.stdout)
      assert.equal(0, result.code)
    end
  end)
end)

describe("Writing to a child", function()
  -- CP-STDIO-14
  it("says when it is enough, and delivers all before the end of file", function()
    local child = spawn("/bin/sh", { "-c", "read -r go <&3; exec md5sum" }, { stdio = { [4] = "pipe" } })
    local written = {}
    local function write()
      local chunk = ("%08d"):format(#written):rep(512)
      written[#written + 1] = chunk
      return child.stdin:write(chunk)
    end
    while write() do
      assert.is_true(#written < 1000)
    end
    for _ = 1, 100 do
      assert.is_false(write())
    end
    local last
    child.stdin:finish("the last", function(err)
      last = err or "finished"
    end)
    child.stdio[3]:write "go\n"
    local result = children.finish(child)
    local direct = spawn "md5sum"
    direct.stdin:finish(table.concat(written) .. "the last")
    assert.equal(children.finish(direct).stdout, result.stdout)
    assert.equal("finished", last)
  end)

  -- CP-STDIO-14
  it("goes on after drain", function()
    local child = spawn("wc", { "-c" })
    local rounds = 0
    while rounds < 5 do
      if not child.stdin:write(("x"):rep(100000)) then
        child.stdin:wait "drain"
        rounds = rounds + 1
      end
    end
    child.stdin:finish()
    assert.equal("500000\n", children.finish(child).stdout)
  end)

  -- CP-STDIO-17
  it("that has closed its stdin is an error of the stream", function()
    local child = spawn("/bin/sh", { "-c", "exec <&-; echo closed; cat >/dev/null <&3" }, {
      stdio = { "pipe", "pipe", "pipe", "pipe" },
    })
    assert.equal("closed\n", child.stdout:read())
    local failures, answers = {}, {}
    child.stdin:on("error", function(err)
      failures[#failures + 1] = err.code
    end)
    child.stdin:write(("x"):rep(1 << 20), function(err)
      answers[#answers + 1] = err.code
    end)
    child.stdin:write("more", function(err)
      answers[#answers + 1] = err.code
    end)
    eventually(function()
      return child.stdin.closed and #answers == 2
    end)
    assert.same({ "EPIPE" }, failures)
    assert.equal("EPIPE", answers[1])
    -- The child does not suffer from it.
    child.stdio[3]:finish()
    assert.equal(0, child:wait "close")
  end)

  -- CP-STDIO-17
  it("is fatal only where nobody listens for the error", function()
    local code = [[
      local process = require "mw.process"
      local child = require("mw.child_process").spawn("/bin/sh", { "-c", "exec <&-; echo closed; exec sleep 100" })
      child.stdout:read()
      process.on("exit", function()
        child:kill "SIGKILL"
      end)
      %s
      child.stdin:write "x"
      child:kill()
      child:wait "close"
      print "alive"
    ]]
    local result = children.lua(code:format "")
    assert.equal(1, result.code)
    assert.matches("EPIPE", result.stderr, 1, true)
    assert.equal("", result.stdout)
    result = children.lua(code:format "child.stdin:on('error', function(err) print(err.code) end)")
    assert.equal(0, result.code)
    assert.equal("EPIPE\nalive\n", result.stdout)
  end)

  -- CP-STDIO-17
  it("that has ended is told to the callback, and nothing else happens", function()
    local child = spawn "true"
    local failures = {}
    child.stdin:on("error", function(err)
      failures[#failures + 1] = err.code
    end)
    child:wait "exit"
    assert.is_true(child.stdin.destroyed)
    local answer
    assert.is_false(child.stdin:write(("x"):rep(1 << 20), function(err)
      answer = err.code
    end))
    assert.is_nil(answer)
    eventually(function()
      return answer
    end)
    assert.equal("ERR_STREAM_DESTROYED", answer)
    assert.same({}, failures)
  end)

  -- CP-STDIO-17
  it("that ends meanwhile answers every write once", function()
    local child = spawn("head", { "-c", "1000" })
    local answers, failures = {}, {}
    child.stdin:on("error", function(err)
      failures[#failures + 1] = err.code
    end)
    for index = 1, 20 do
      child.stdin:write(("x"):rep(100000), function(err)
        answers[index] = (answers[index] or 0) + 1
        assert(err)
      end)
    end
    assert.equal(0, children.finish(child).code)
    eventually(function()
      return #answers == 20
    end)
    for index = 1, 20 do
      assert.equal(1, answers[index])
    end
    assert.is_true(#failures <= 1)
    assert.is_true(failures[1] == nil or failures[1] == "EPIPE")
  end)
end)

describe("A script with a pipe for its standard output", function()
  -- CP-STDIO-15
  it("loses nothing when it ends", function()
    local text = numbered(1 << 20)
    local print_all = "for line = 1, 131072 do io.write(('%07d\\n'):format(line)) end "
    local write_all = "local out = require('mw.process').stdout for line = 1, 131072 do out:write(('%07d\\n'):format(line)) end "
    for _, code in ipairs {
      print_all,
      print_all .. "os.exit(0)",
      print_all .. "require('mw.process').exit(0)",
      print_all .. "require('mw.process').stdout:finish()",
      write_all,
      write_all .. "out:finish()",
      write_all .. "out:destroy()",
      write_all .. "os.exit(0)",
    } do
      local result = children.lua(code)
      assert.is_true(result.stdout == text, code)
      assert.equal("", result.stderr)
      assert.equal(0, result.code)
    end
  end)

  -- CP-STDIO-15
  it("ends although its stdin is paused", function()
    local child = children.start_lua [[
      local stdin = require("mw.process").stdin
      print "started"
      stdin:resume()
      stdin:pause()
    ]]
    local result = children.finish(child)
    assert.equal("started\n", result.stdout)
    assert.equal(0, result.code)
  end)

  -- CP-STDIO-15
  it("reads on after a pause of its stdin, and ends with it", function()
    local child = children.start_lua [[
      local process = require "mw.process"
      local stdin = process.stdin
      stdin:on("data", function(chunk)
        process.stdout:write(chunk)
        stdin:pause()
        require("mw.timers").set_timeout(function()
          stdin:resume()
        end, 1)
      end)
      stdin:on("end", function()
        process.stdout:write "end"
      end)
    ]]
    for round = 1, 5 do
      child.stdin:write(tostring(round))
      assert.equal(tostring(round), child.stdout:read())
    end
    child.stdin:finish()
    assert.equal("end", children.finish(child).stdout)
    assert.equal(0, child.exit_code)
  end)
end)
