-- Servers and sockets over descriptors and handles from elsewhere.

local Scratch = require "spec.support.scratch"
local child_process = require "mw.child_process"
local children = require "spec.support.children"
local core_fd = require "mw.core.fd"
local core_socket = require "mw.core.socket"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"
local mw = require "mw"
local net = require "mw.net"
local sockets = require "spec.support.sockets"
local uv = require "luv"

-- A server in a child of ours: serves what it was given as descriptor 3.
local serve_fd_3 = [[
  local net = require "mw.net"
  local server = net.create_server(function(socket)
    socket:write("child " .. require "mw.process".pid)
    for line in socket:lines() do
      socket:write(line)
    end
  end)
  server:listen({ fd = 3 }, function() print "listening" end)
]]

local function start_server(item)
  local child = children.start_lua(serve_fd_3, { stdio = { "pipe", "pipe", "inherit", item } })
  assert.equal("listening", child.stdout:lines()())
  return child
end

local function stop(child)
  child:kill "SIGKILL"
  child:wait "close"
end

local function ask(...)
  local client = net.connect(...)
  local answer = client:read()
  sockets.close(client)
  return answer
end

describe("A listening handle at a child's descriptor 3", function()
  -- FD-01
  it("is served by the child, and the parent may close its own", function()
    local server, port = sockets.listen()
    local child = start_server(server)
    sockets.close(server)
    for _ = 1, 3 do
      assert.equal("child " .. child.pid, ask(port, "127.0.0.1"))
    end
    stop(child)
    assert.equal("ECONNREFUSED", sockets.failure(net.connect(port, "127.0.0.1")).code)
  end)

  -- FD-01
  it("loses no connection that nobody has accepted yet", function()
    local number = assert(core_socket.bind("tcp", "127.0.0.1", 0))
    assert(core_socket.listen(number, 16))
    local handle = uv.new_tcp()
    assert(handle:open(number))
    local port = handle:getsockname().port
    local waiting = {}
    for index = 1, 5 do
      waiting[index] = net.connect(port, "127.0.0.1")
      assert(waiting[index]:wait "connect")
    end
    local child = start_server(handle)
    handle:close()
    for _, client in ipairs(waiting) do
      assert.equal("child " .. child.pid, client:read())
    end
    sockets.close(table.unpack(waiting))
    stop(child)
  end)

  it("goes on being served by the parent too", function()
    local server, port = sockets.listen(function(socket)
      socket:finish("parent"):resume()
    end)
    local child = start_server(server)
    local seen = {}
    eventually(function()
      seen[ask(port, "127.0.0.1"):match "^%a+"] = true
      return seen.parent
    end)
    stop(child)
    assert.equal("parent", ask(port, "127.0.0.1"))
    sockets.close(server)
  end)

  -- FD-05
  it("may be a Unix socket, whose path stays when the child closes it", function()
    local scratch = Scratch.new()
    local path = scratch.path .. "/socket"
    local server = sockets.listen(nil, nil, { path = path })
    local code = serve_fd_3 .. [[
      server:on("listening", function()
        print(server:address())
        server:close()
      end)
    ]]
    local result = children.lua(code, { stdio = { "ignore", "pipe", "inherit", server } })
    assert.equal("listening\n" .. path .. "\n", result.stdout)
    assert.equal("socket", uv.fs_lstat(path).type)
    sockets.close(server)
    assert.is_nil((uv.fs_lstat(path)))
    scratch:remove()
  end)

  it("is refused once it is closed", function()
    local server = sockets.listen()
    sockets.close(server)
    assert.is_false((pcall(child_process.spawn, "true", {}, { stdio = { "pipe", "pipe", "pipe", server } })))
  end)
end)

describe("A socket at a child's descriptor", function()
  it("is the child's to read and to write", function()
    local client, accepted, server = sockets.pair()
    local child = child_process.spawn("sh", { "-c", "read line; echo $line twice $line" }, {
      stdio = { accepted, accepted, "inherit" },
    })
    client:write "word\n"
    assert.equal("word twice word\n", client:read())
    child:wait "close"
    accepted:write "and the owner's again"
    assert.equal("and the owner's again", client:read())
    sockets.close(client, accepted, server)
  end)
end)

describe("listen()", function()
  -- FD-04
  it("refuses a closed descriptor, a file and what is no socket by an error", function()
    local file = assert(io.open "/dev/null")
    local reading, writing = core_fd.pipe()
    local udp = core_socket.bind("udp", "127.0.0.1", 0)
    local regular = uv.fs_open("/etc/passwd", "r", 0)
    local before = leaks.descriptor_count()
    for _, number in ipairs { 999999, reading, writing, udp, regular, 0 } do
      local server = net.create_server():listen { fd = number }
      local err = sockets.failure(server)
      assert.is_true(err.code == "EINVAL" or err.code == "ENOTSOCK")
      assert.equal("listen", err.syscall)
      assert.is_false(server.listening)
    end
    assert.equal(before, leaks.descriptor_count())
    for _, number in ipairs { reading, writing, udp, regular } do
      assert(core_fd.close(number))
    end
    file:close()
  end)

  -- FD-04
  it("refuses a connection by an error, and leaves it as it was", function()
    local client, accepted, server = sockets.pair()
    assert.equal("EINVAL", sockets.failure(net.create_server():listen { fd = client:fileno() }).code)
    assert.equal("EINVAL", sockets.failure(net.create_server():listen { handle = {} }).code)
    client:write "fine"
    assert.equal("fine", accepted:read())
    sockets.close(client, accepted, server)
  end)

  -- FD-05
  it("takes a descriptor that is bound, or listens already", function()
    for _, listens in ipairs { false, true } do
      local number = assert(core_socket.bind("tcp", "127.0.0.1", 0))
      assert.is_true(not listens or core_socket.listen(number, 5))
      local server, port = sockets.listen(function(socket)
        socket:finish("hello"):resume()
      end, nil, { fd = number })
      assert.equal(number, server:fileno())
      assert.equal("hello", ask(port, "127.0.0.1"))
      sockets.close(server)
    end
  end)

  -- FD-05
  it("takes a handle of luv, bound or listening, in each form", function()
    for _, form in ipairs { "alone", "option", "object" } do
      local handle = uv.new_tcp()
      assert(handle:bind("127.0.0.1", 0))
      local forms = { alone = handle, option = { handle = handle }, object = setmetatable({ _handle = handle }, {}) }
      local server = net.create_server(function(socket)
        socket:finish("hello"):resume()
      end)
      server:listen(forms[form])
      assert(server:wait "listening")
      assert.equal("hello", ask(server:address().port, "127.0.0.1"))
      sockets.close(server)
      assert.is_true(handle:is_closing())
    end
  end)

  -- FD-05
  it("unlinks no path that it did not make", function()
    local scratch = Scratch.new()
    local path = scratch.path .. "/socket"
    local number = assert(core_socket.bind_unix(path))
    local server = sockets.listen(function(socket)
      socket:finish("hello"):resume()
    end, nil, { fd = number })
    assert.equal(path, server:address())
    assert.equal("hello", ask(path))
    sockets.close(server)
    assert.equal("socket", uv.fs_lstat(path).type)
    scratch:remove()
  end)
end)

describe("A socket over what is open already", function()
  local function raw_pair()
    local one, other = core_fd.socketpair()
    local handle = uv.new_pipe(false)
    assert(handle:open(other))
    return one, net.Socket.new { handle = handle }
  end

  -- FD-05
  it("is made from a descriptor or a handle", function()
    local number, right = raw_pair()
    local left = net.Socket.new { fd = number }
    assert.equal(number, left:fileno())
    assert.equal("open", left.ready_state)
    assert.is_false(left.pending)
    left:write "to the right"
    assert.equal("to the right", right:read())
    right:finish "to the left"
    assert.equal("to the left", left:read())
    assert.is_nil((left:read()))
    sockets.close(left, right)
  end)

  it("is refused by an error where that is no socket", function()
    local number = uv.fs_open("/etc/passwd", "r", 0)
    for _, opts in ipairs { { fd = 999999 }, { fd = number }, { handle = {} }, { handle = uv.new_timer() } } do
      local socket = net.Socket.new(opts)
      assert.equal("EINVAL", sockets.failure(socket).code)
      if type(opts.handle) == "userdata" then
        opts.handle:close()
      end
    end
    core_fd.close(number)
  end)

  -- FD-05
  it("connects a descriptor or a handle that is not connected yet", function()
    local server, port = sockets.listen(sockets.resume)
    local number = assert(core_socket.bind("tcp", "127.0.0.1", 0))
    local by_fd = net.connect { fd = number, port = port, host = "127.0.0.1" }
    assert(by_fd:wait "connect")
    assert.equal(number, by_fd:fileno())
    local handle = uv.new_tcp()
    local by_handle = net.connect { handle = handle, port = port, host = "127.0.0.1" }
    assert(by_handle:wait "connect")
    sockets.close(by_fd, by_handle, server)

    local scratch = Scratch.new()
    local path = scratch.path .. "/socket"
    server = sockets.listen(sockets.resume, nil, { path = path })
    local pipe = net.connect { handle = uv.new_pipe(false), path = path }
    assert(pipe:wait "connect")
    sockets.close(pipe, server)
    local missing = net.connect { handle = uv.new_pipe(false), path = path }
    assert.equal("ENOENT", sockets.failure(missing).code)
    scratch:remove()
  end)
end)

describe("listen_fds", function()
  local code = [[
    local net = require "mw.net"
    local found = net.listen_fds()
    assert(found == net.listen_fds())
    for _, name in ipairs { "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES" } do
      assert(not os.getenv(name))
    end
    for _, entry in ipairs(found) do
      io.write(entry.fd, "=", entry.name, " ")
    end
    print(#found)
    assert(os.execute "test ! -e /proc/self/fd/3")
    for _, entry in ipairs(found) do
      net.create_server(function(socket) socket:finish(entry.name):resume() end):listen { fd = entry.fd }
    end
  ]]

  -- The shell keeps its pid, as systemd does, which knows it before the start.
  local function activate(servers, environment)
    local command = environment .. ' exec "$0" -e "$1"'
    local stdio = { "ignore", "pipe", "inherit", table.unpack(servers) }
    return child_process.spawn("sh", { "-c", command, mw.process.exec_path, code }, { stdio = stdio })
  end

  it("gives what was passed, with names, and leaves no trace", function()
    local first, first_port = sockets.listen()
    local second, second_port = sockets.listen()
    local child = activate({ first, second }, "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=http:")
    sockets.close(first, second)
    assert.equal("3=http 4=unknown 2", child.stdout:lines()())
    assert.equal("http", ask(first_port, "127.0.0.1"))
    assert.equal("unknown", ask(second_port, "127.0.0.1"))
    stop(child)
  end)

  it("gives nothing where it was meant for another process, or not at all", function()
    for _, environment in ipairs {
      "LISTEN_PID=1 LISTEN_FDS=1",
      "LISTEN_FDS=1",
      "LISTEN_PID=$$ LISTEN_FDS=0",
      "LISTEN_PID=$$ LISTEN_FDS=x",
      "LISTEN_PID=$$ LISTEN_FDS=-5",
      "LISTEN_PID=$$ LISTEN_FDS=1.5",
      "",
    } do
      assert.equal("0\n", children.finish(activate({}, environment)).stdout)
    end
  end)

  it("gives no more than there is", function()
    local server = sockets.listen()
    local child = activate({ server }, "LISTEN_PID=$$ LISTEN_FDS=1000000000")
    assert.equal("3=unknown 1", child.stdout:lines()())
    stop(child)
    sockets.close(server)
  end)
end)
