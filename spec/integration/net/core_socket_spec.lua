local fd = require "mw.core.fd"
local socket = require "mw.core.socket"
local uv = require "luv"

-- The port of a bound descriptor, which stays open.
local function port_of(number)
  for _, line in ipairs { "tcp", "udp" } do
    local handle = line == "tcp" and uv.new_tcp() or uv.new_udp()
    if socket.kind(number) == line then
      assert(handle:open(number))
      return handle:getsockname().port, handle
    end
    handle:close()
  end
end

describe("mw.core.socket", function()
  for _, kind in ipairs { "tcp", "udp" } do
    it("binds a " .. kind .. " socket, and tells at once that the port is taken", function()
      local number = assert(socket.bind(kind, "127.0.0.1", 0))
      assert.same({ kind, false }, { socket.kind(number) })
      local port, handle = port_of(number)
      assert.is_true(port > 0)
      if kind == "tcp" then
        assert(socket.listen(number, 1))
        assert.same({ "tcp", true }, { socket.kind(number) })
      end
      assert.same({ nil, "EADDRINUSE" }, { socket.bind(kind, "127.0.0.1", port) })
      handle:close()
    end)

    it("shares a " .. kind .. " port by reuse_port", function()
      local first = assert(socket.bind(kind, "::1", 0, { reuse_port = true }))
      local port, handle = port_of(first)
      local second = assert(socket.bind(kind, "::1", port, { reuse_port = true }))
      assert(kind == "udp" or socket.listen(first, 1))
      assert.same({ nil, "EADDRINUSE" }, { socket.bind(kind, "::1", port) })
      fd.close(second)
      handle:close()
    end)
  end

  it("makes descriptors that no child inherits and that never block", function()
    local number = assert(socket.bind("tcp", "127.0.0.1", 0))
    local file = assert(io.open("/proc/self/fdinfo/" .. number))
    local flags = tonumber(file:read("a"):match "flags:%s*(%d+)", 8)
    file:close()
    assert.equal(tonumber("2004000", 8), flags & tonumber("2004000", 8))
    fd.close(number)
  end)

  it("tells what a descriptor is", function()
    local reading, writing = fd.pipe()
    local one, other = fd.socketpair()
    local path = uv.fs_open("/etc/passwd", "r", 0)
    assert.same({ "pipe", false }, { socket.kind(reading) })
    assert.same({ "pipe", false }, { socket.kind(one) })
    assert.same({ "file", false }, { socket.kind(path) })
    for _, number in ipairs { reading, writing, one, other, path } do
      fd.close(number)
    end
    assert.same({ nil, "EBADF" }, { socket.kind(one) })
  end)

  it("refuses addresses that are none, and names that have no room", function()
    assert.same({ nil, "EINVAL" }, { socket.bind("tcp", "localhost", 0) })
    assert.same({ nil, "EADDRNOTAVAIL" }, { socket.bind("tcp", "192.0.2.1", 0) })
    assert.same({ nil, "EINVAL" }, { socket.bind_unix "" })
    assert.same({ nil, "EINVAL" }, { socket.bind_unix "a\0b" })
    assert.same({ nil, "ENAMETOOLONG" }, { socket.bind_unix(("x"):rep(108)) })
    assert.same({ nil, "ENAMETOOLONG" }, { socket.connect_unix("\0" .. ("x"):rep(108)) })
    assert.same({ nil, "ENOTSOCK" }, { socket.listen(0, 1) })
  end)

  it("takes an abstract name with every byte of its own", function()
    local name = "\0mwrun\0spec " .. uv.os_getpid()
    local server = assert(socket.bind_unix(name))
    assert.same({ nil, "ECONNREFUSED" }, { socket.connect_unix(name) })
    assert(socket.listen(server, 1))
    local client = assert(socket.connect_unix(name))
    assert.same({ nil, "ECONNREFUSED" }, { socket.connect_unix(name .. "\0") })
    fd.close(client)
    fd.close(server)
  end)
end)
