local dgram = require "mw.dgram"
local misuse = require "spec.support.misuse"
local udp = require "spec.support.udp"

local group = "224.0.0.114"
local source_group = "232.1.1.1"

-- Whether this machine lets a socket join a group on the loopback interface,
-- and hears what it sends there.
local function has_multicast(...)
  local socket <close> = udp.bound { type = "udp4", reuse_addr = true }
  local method = select("#", ...) == 2 and "add_membership" or "add_source_specific_membership"
  return socket[method](socket, ...) and socket:set_multicast_interface "127.0.0.1"
end

local it_with_multicast = has_multicast(group, "127.0.0.1") and it or pending
local it_with_sources = has_multicast("127.0.0.1", source_group, "127.0.0.1") and it or pending

-- A socket that is bound to all addresses, as one that hears groups must be.
local function listener()
  local socket = dgram.create_socket { type = "udp4", reuse_addr = true }
  socket:bind()
  socket:wait("listening", 5000)
  return socket
end

describe("The settings of a socket", function()
  it("are made when it is bound, and give back what was set", function()
    local socket <close> = udp.bound()
    assert.equal(1, socket:set_ttl(1))
    assert.equal(255, socket:set_ttl(255))
    assert.equal(0, socket:set_multicast_ttl(0))
    assert.equal(255, socket:set_multicast_ttl(255))
    for _, flag in ipairs { true, false } do
      assert.is_true(socket:set_broadcast(flag))
      assert.is_true(socket:set_multicast_loopback(flag))
    end
    assert.is_true(socket:set_multicast_interface "0.0.0.0")
  end)

  it("can't be before", function()
    local socket <close> = dgram.create_socket "udp4"
    for method, value in pairs {
      set_ttl = 1,
      set_multicast_ttl = 1,
      set_broadcast = true,
      set_multicast_loopback = true,
      set_multicast_interface = "127.0.0.1",
    } do
      local ok, err = socket[method](socket, value)
      assert.is_nil(ok)
      assert.equal("EBADF", err.code)
      assert.equal(method, err.syscall)
    end
  end)

  it("refuse what is out of range, or of another type", function()
    local socket <close> = dgram.create_socket "udp4"
    for method, values in pairs {
      set_ttl = { 0, 256, 1.5, "1" },
      set_multicast_ttl = { -1, 256, "1" },
      set_broadcast = { 1, "yes" },
      set_multicast_loopback = { 0 },
      set_multicast_interface = { 5, "a\0b" },
    } do
      for _, value in ipairs(values) do
        assert.matches("^" .. method .. ": bad argument", misuse(function()
          socket[method](socket, value)
        end))
      end
    end
  end)

  it("tell what the kernel refuses", function()
    local socket <close> = udp.bound()
    local ok, err = socket:set_multicast_interface "no address"
    assert.is_nil(ok)
    assert.equal("EINVAL", err.code)
  end)
end)

describe("The buffers of a socket", function()
  for _, which in ipairs { "recv", "send" } do
    local get, set = ("get_%s_buffer_size"):format(which), ("set_%s_buffer_size"):format(which)

    it("have a size that can be set: " .. which, function()
      local socket <close> = udp.bound()
      assert.is_true(socket[get](socket) > 0)
      assert.is_true(socket[set](socket, 10000))
      assert.equal(20000, socket[get](socket))
    end)

    it("have none before the socket is bound: " .. which, function()
      local socket <close> = dgram.create_socket "udp4"
      for _, result in ipairs { table.pack(socket[get](socket)), table.pack(socket[set](socket, 10000)) } do
        assert.is_nil(result[1])
        assert.equal("ERR_SOCKET_BUFFER_SIZE", result[2].code)
        assert.equal("EBADF", result[2].cause.code)
        assert.matches("EBADF", tostring(result[2]))
      end
    end)

    it("refuse what is no size: " .. which, function()
      local socket <close> = udp.bound()
      for _, size in ipairs { 0, -1, 1.5, "1000", 0x80000000 } do
        assert.matches("^" .. set .. ": bad argument 'size' .*%(ERR_SOCKET_BAD_BUFFER_SIZE%)$", misuse(function()
          socket[set](socket, size)
        end))
      end
    end)
  end
end)

describe("Multicast", function()
  it("refuses what is no group", function()
    local socket <close> = udp.bound()
    for _, method in ipairs { "add_membership", "drop_membership" } do
      assert.matches("^" .. method .. ": bad argument 'group' .*%(ERR_MISSING_ARGS%)$", misuse(function()
        socket[method](socket)
      end))
      assert.matches("'interface'", misuse(function()
        socket[method](socket, group, 5)
      end))
    end
    for _, method in ipairs { "add_source_specific_membership", "drop_source_specific_membership" } do
      assert.matches("'source'", misuse(function()
        socket[method](socket)
      end))
      assert.matches("'group'", misuse(function()
        socket[method](socket, "127.0.0.1")
      end))
    end
  end)

  it("gives what the kernel refuses", function()
    local socket <close> = udp.bound()
    for _, address in ipairs { "127.0.0.1", "no address", "ff02::114" } do
      local ok, err = socket:add_membership(address, "127.0.0.1")
      assert.is_nil(ok)
      assert.equal("EINVAL", err.code)
      assert.equal("add_membership", err.syscall)
    end
    local _, err = socket:drop_membership(group, "127.0.0.1")
    assert.equal("EADDRNOTAVAIL", err.code)
    assert.equal("drop_membership", err.syscall)
  end)

  it_with_multicast("reaches every socket that has joined the group, until it leaves", function()
    local first <close> = listener()
    local second <close> = dgram.create_socket { type = "udp4", reuse_addr = true }
    second:bind(udp.port(first))
    second:wait("listening", 5000)
    assert.is_true(first:add_membership(group, "127.0.0.1"))
    assert.is_true(second:add_membership(group, "127.0.0.1"))
    local _, err = first:add_membership(group, "127.0.0.1")
    assert.equal("EADDRINUSE", err.code)
    local messages = { udp.collect(first), udp.collect(second) }
    local sender <close> = udp.bound()
    assert.is_true(sender:set_multicast_interface "127.0.0.1")
    sender:send("to all", udp.port(first), group)
    first:wait("message", 5000)
    if #messages[2] == 0 then
      second:wait("message", 5000)
    end
    assert.same({ { "to all" }, { "to all" } }, messages)
    assert.is_true(first:drop_membership(group, "127.0.0.1"))
  end)

  it_with_multicast("binds a socket that is not bound", function()
    local socket <close> = dgram.create_socket "udp4"
    assert.is_true(socket:add_membership(group, "127.0.0.1"))
    assert.is_true(udp.port(socket) > 0)
    assert.matches("ERR_SOCKET_ALREADY_BOUND", misuse(function()
      socket:bind()
    end))
    assert.is_true(socket:wait("listening", 5000))
    socket:set_multicast_interface "127.0.0.1"
    socket:send("x", udp.port(socket), group)
    assert.equal("x", (socket:wait("message", 5000)))
  end)

  it_with_sources("from one source is heard until the group is left", function()
    local receiver <close> = listener()
    local sender <close> = udp.bound()
    sender:set_multicast_interface "127.0.0.1"
    assert.is_true(receiver:add_source_specific_membership("127.0.0.1", source_group, "127.0.0.1"))
    sender:send("x", udp.port(receiver), source_group)
    assert.equal("x", (receiver:wait("message", 5000)))
    assert.is_true(receiver:drop_source_specific_membership("127.0.0.1", source_group, "127.0.0.1"))
    local _, err = receiver:drop_source_specific_membership("127.0.0.1", source_group, "127.0.0.1")
    assert.is_not_nil(err)
  end)
end)
