-- Sockets over what others have bound: descriptors, handles of luv, and what a
-- provider gives.

local core = require "mw.core.socket"
local dgram = require "mw.dgram"
local errors = require "mw.error"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local udp = require "spec.support.udp"
local uv = require "luv"

-- A bound socket that nobody uses yet.
local function bound_descriptor()
  return assert(core.bind("udp", "127.0.0.1", 0))
end

local function bound_handle()
  local handle = uv.new_udp()
  assert(handle:bind("127.0.0.1", 0))
  return handle
end

-- FD-06
describe("bind with a descriptor", function()
  local socket

  local function with_socket(test)
    return function()
      socket = dgram.create_socket "udp4"
      test()
      udp.close(socket)
    end
  end

  it(
    "takes over a bound UDP socket, which then receives and sends",
    with_socket(function()
      local fd = bound_descriptor()
      local called = false
      assert.equal(socket, socket:bind({ fd = fd }, function()
        called = true
      end))
      assert.is_false(called)
      assert.is_true(socket:wait("listening", 5000))
      assert.is_true(called)
      assert.equal(fd, socket:fileno())
      socket:send("to myself", udp.port(socket))
      local message, rinfo = socket:wait("message", 5000)
      assert.equal("to myself", message)
      assert.equal(udp.port(socket), rinfo.port)
    end)
  )

  it(
    "closes it with the socket",
    with_socket(function()
      local fd = bound_descriptor()
      socket:bind { fd = fd }
      udp.close(socket)
      assert.is_nil(core.kind(fd))
    end)
  )

  it(
    "finds out that it is connected",
    with_socket(function()
      local peer <close> = udp.bound()
      local handle = bound_handle()
      assert(handle:connect("127.0.0.1", udp.port(peer)))
      local lent = mw.child_process.spawn_sync(mw.process.exec_path, {
        "-e",
        [[
          local socket = require("mw.dgram").create_socket "udp4"
          socket:bind { fd = 3 }
          socket:send("by the child")
          io.write(socket:remote_address().port)
          socket:close()
        ]],
      }, { stdio = { "ignore", "pipe", "inherit", handle } })
      assert.equal(tostring(udp.port(peer)), lent.stdout)
      assert.equal("by the child", (peer:wait("message", 5000)))
      handle:close()
    end)
  )

  it(
    "raises for what is no UDP socket, or not open, and may be tried again",
    with_socket(function()
      local tcp = assert(core.bind("tcp", "127.0.0.1", 0))
      local file = assert(uv.fs_open("README.md", "r", 0))
      for fd, kind in pairs { [tcp] = "tcp", [file] = "file", [0x7fffffff] = "closed" } do
        local expected = ("bind: descriptor %d is no UDP socket but %s (ERR_INVALID_FD_TYPE)"):format(fd, kind)
        assert.equal(expected, misuse(function()
          socket:bind { fd = fd }
        end))
      end
      assert.equal("tcp", core.kind(tcp))
      assert.equal("file", core.kind(file))
      uv.fs_close(tcp)
      uv.fs_close(file)
      socket:bind(0, "127.0.0.1")
      assert.is_true(socket:wait("listening", 5000))
    end)
  )

  it(
    "raises for one that another socket has",
    with_socket(function()
      local other <close> = udp.bound()
      assert.matches("^bind: descriptor %d+ belongs to another handle %(EEXIST%)$", misuse(function()
        socket:bind { fd = other:fileno() }
      end))
      assert.equal("udp", core.kind(other:fileno()))
    end)
  )

  it(
    "raises for what is no number of a descriptor",
    with_socket(function()
      for _, fd in ipairs { -1, 1.5, "3", 0x80000000 } do
        assert.matches("bad option 'fd'", misuse(function()
          socket:bind { fd = fd }
        end))
      end
    end)
  )
end)

describe("A socket that a child inherits", function()
  -- HANDLE-12
  it("is shared: both receive, and the parent's does not block", function()
    local socket <close> = udp.bound()
    local mine, from_child = udp.collect(socket), ""
    local child = mw.child_process.spawn(mw.process.exec_path, {
      "-e",
      [[
        local socket = require("mw.dgram").create_socket "udp4"
        socket:on("message", function(message)
          print(message)
          if message == "end" then
            socket:close()
          end
        end)
        socket:bind({ fd = 3 }, function()
          print "ready"
        end)
      ]],
    }, { stdio = { "ignore", "pipe", "inherit", socket } })
    child.stdout:on("data", function(chunk)
      from_child = from_child .. chunk
    end)
    eventually(function()
      return from_child:find "ready"
    end)
    local sender <close> = dgram.create_socket "udp4"
    eventually(function()
      sender:send("x", udp.port(socket))
      return #mine > 0 and from_child:find "x"
    end)
    eventually(function()
      sender:send("end", udp.port(socket))
      return child.destroyed
    end)
    assert.equal(0, child.exit_code)
  end)
end)

describe("adopt", function()
  it("makes a socket that receives and sends, without an event listening", function()
    local handle = bound_handle()
    local listening = false
    local socket <close> = dgram.Socket.adopt(handle)
    socket:on("listening", function()
      listening = true
    end)
    assert.equal("udp4", socket.type)
    assert.equal(handle, socket._handle)
    socket:send("x", udp.port(socket))
    assert.equal("x", (socket:wait("message", 5000)))
    assert.is_false(listening)
  end)

  it("loses nothing that came before, nor before a task listens", function()
    local handle = bound_handle()
    local sender <close> = dgram.create_socket "udp4"
    sender:send("early", handle:getsockname().port)
    local sent = false
    sender:send("early", handle:getsockname().port, function()
      sent = true
    end)
    eventually(function()
      return sent
    end)
    local socket = dgram.Socket.adopt(handle, "udp4")
    local task = mw.go(function()
      return (socket:wait("message", 5000))
    end)
    assert.equal("early", task:join())
    udp.close(socket)
  end)

  it("knows that the handle is connected", function()
    local peer <close> = udp.bound()
    local handle = bound_handle()
    assert(handle:connect("127.0.0.1", udp.port(peer)))
    local socket <close> = dgram.Socket.adopt(handle)
    assert.same(peer:address(), socket:remote_address())
    socket:send "x"
    assert.equal("x", (peer:wait("message", 5000)))
  end)

  it("makes a socket that can be closed in the same turn, and can't be bound", function()
    local socket = dgram.Socket.adopt(bound_handle())
    assert.matches("ERR_SOCKET_ALREADY_BOUND", misuse(function()
      socket:bind()
    end))
    udp.close(socket)
  end)
end)

describe("A provider of bound handles", function()
  local requests, answer

  before_each(function()
    requests = {}
    dgram.set_bind_provider(function(socket, what, done)
      requests[#requests + 1] = what
      answer(socket, what, done)
    end)
  end)

  after_each(function()
    dgram.set_bind_provider(nil)
  end)

  it("gets what is asked for, and gives the handle", function()
    local handle = bound_handle()
    function answer(_, _, done)
      done(nil, handle)
    end
    local socket <close> = dgram.create_socket { type = "udp4", reuse_addr = true }
    socket:bind(5353, "localhost")
    assert.is_true(socket:wait("listening", 5000))
    assert.equal(handle, socket._handle)
    assert.same({
      {
        type = "udp4",
        address = "127.0.0.1",
        port = 5353,
        exclusive = false,
        ipv6_only = false,
        reuse_address = true,
        reuse_port = false,
      },
    }, requests)
    socket:send("x", udp.port(socket))
    assert.equal("x", (socket:wait("message", 5000)))
  end)

  -- FD-03
  it("is asked for a descriptor, whose number means nothing here", function()
    local handle = bound_handle()
    function answer(_, _, done)
      done(nil, handle)
    end
    local socket <close> = dgram.create_socket "udp4"
    socket:bind { fd = 0x7fffffff }
    assert.is_true(socket:wait("listening", 5000))
    assert.equal(0x7fffffff, requests[1].fd)
  end)

  -- CLD-04
  it("that refuses makes one error that names bind and the address, and may be asked again", function()
    function answer(_, _, done)
      done "EADDRINUSE"
    end
    local seen, called = {}, false
    local socket <close> = dgram.create_socket "udp4"
    socket:on("error", function(err)
      seen[#seen + 1] = err
    end)
    socket:bind(5353, "127.0.0.1", function()
      called = true
    end)
    socket:wait("listening", 5000)
    assert.equal(1, #seen)
    assert.equal("EADDRINUSE", seen[1].code)
    assert.matches("bind 127.0.0.1:5353", tostring(seen[1]), 1, true)
    socket:bind { fd = 5 }
    socket:wait("listening", 5000)
    assert.equal("open", seen[2].syscall)
    assert.is_false(called)
  end)

  it("may refuse with an error of its own", function()
    local mine = errors.new("EPIPE", "EPIPE: the master is gone")
    function answer(_, _, done)
      done(mine)
    end
    local socket <close> = dgram.create_socket "udp4"
    socket:bind()
    local _, err = socket:wait("listening", 5000)
    assert.equal(mine, err)
  end)

  it("that answers after the close has its handle closed", function()
    local handle, give = bound_handle(), nil
    function answer(_, _, done)
      give = done
    end
    local socket = dgram.create_socket "udp4"
    socket:bind()
    eventually(function()
      return give
    end)
    udp.close(socket)
    give(nil, handle)
    assert.is_true(handle:is_closing())
  end)

  -- PROC-07
  it("gives a handle that stays unreferenced where the socket was", function()
    local handle = bound_handle()
    function answer(_, _, done)
      done(nil, handle)
    end
    local socket <close> = dgram.create_socket "udp4"
    socket:unref()
    socket:bind()
    socket:wait("listening", 5000)
    assert.is_false(handle:has_ref())
  end)

  -- CLN-16, CLD-02, CLD-06
  it("is not asked where the socket is exclusive, shares its port, or is bound by its first use", function()
    local exclusive <close> = dgram.create_socket "udp4"
    exclusive:bind { port = 0, address = "127.0.0.1", exclusive = true }
    exclusive:wait("listening", 5000)
    local sharing <close> = udp.bound { type = "udp4", reuse_port = true }
    local sending <close> = dgram.create_socket "udp4"
    sending:send("x", udp.port(exclusive))
    sending:wait("listening", 5000)
    local connecting <close> = dgram.create_socket "udp4"
    connecting:connect(udp.port(sharing))
    connecting:wait("connect", 5000)
    local adopting <close> = dgram.create_socket "udp4"
    adopting:bind { fd = bound_descriptor(), exclusive = true }
    assert.same({}, requests)
  end)
end)
