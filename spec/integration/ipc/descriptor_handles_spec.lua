-- Handles of luv, UDP sockets, and descriptors of any kind.

local core = require "mw.core.fd"
local dgram = require "mw.dgram"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local net = require "mw.net"
local scratch = require "spec.support.scratch"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"
local udp = require "spec.support.udp"
local uv = require "luv"

local in_both = transfers.in_both

describe("A handle of luv that is sent", function()
  after_each(forks.clean)

  -- HANDLE-14
  in_both("arrives as one of its type, and stays open here", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, handle)
        process.send { is_luv = type(handle) == "userdata", type = handle:get_type(), port = handle:getsockname().port }
        handle:close()
      end)
    ]],
      opts
    )
    local tcp, udp_handle, pipe = uv.new_tcp(), uv.new_udp(), uv.new_pipe(false)
    tcp:bind("127.0.0.1", 0)
    udp_handle:bind("127.0.0.1", 0)
    local folder = scratch.new()
    pipe:bind(folder.path .. "/pipe")
    child:send("tcp", tcp)
    child:send("udp", udp_handle)
    assert.same({ is_luv = true, type = "tcp", port = tcp:getsockname().port }, (transfers.arrived(arrivals)))
    assert.same({ is_luv = true, type = "udp", port = udp_handle:getsockname().port }, (transfers.arrived(arrivals, 2)))
    for _, handle in ipairs { tcp, udp_handle, pipe } do
      assert.is_false(handle:is_closing())
      handle:close()
    end
    folder:remove()
    transfers.end_of(child)
  end)

  -- HANDLE-14: not listening yet, the child listens
  in_both("may be bound only: the receiver listens on it", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, handle)
        local server = mw.net.create_server(function(socket)
          socket:finish((handle:get_type()))
          socket:resume()
        end)
        server:listen(handle, function() process.send "listening" end)
        process.on("disconnect", function() server:close() end)
      end)
    ]],
      opts
    )
    local tcp = uv.new_tcp()
    tcp:bind("127.0.0.1", 0)
    local port = tcp:getsockname().port
    child:send("tcp", tcp)
    tcp:close()
    transfers.arrived(arrivals)
    local client = net.connect(port, "127.0.0.1")
    assert.equal("tcp", transfers.read_all(client))
    sockets.close(client)
    transfers.end_of(child)
  end)

  in_both("may be a connected Unix socket", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, handle)
        handle:write("from a " .. handle:get_type(), function() handle:close() end)
        process.send "written"
      end)
    ]],
      opts
    )
    local pair = uv.socketpair("stream", 0, { nonblock = true }, { nonblock = true })
    local pipe = uv.new_pipe(false)
    pipe:open(pair[1])
    child:send("pipe", pipe)
    transfers.arrived(arrivals)
    local ours = net.Socket.new { fd = pair[2] }
    pipe:close()
    assert.equal("from a pipe", transfers.read_all(ours))
    sockets.close(ours)
    transfers.end_of(child)
  end)

  it("that is closed arrives as nil", function()
    local child, arrivals = transfers.start "process.on('message', function(m, h) process.send(h == nil) end)"
    local tcp = uv.new_tcp()
    tcp:close()
    child:send("closed", tcp)
    child:send("never bound", net.Socket.new())
    assert.is_true((transfers.arrived(arrivals)))
    assert.is_true((transfers.arrived(arrivals, 2)))
    transfers.end_of(child)
  end)
end)

describe("A UDP socket that is sent", function()
  after_each(forks.clean)

  -- HANDLE-12
  in_both("is shared: both get datagrams in the end", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        process.send { type = socket.type, port = socket:address().port }
        socket:once("message", function(text)
          process.send(text)
          socket:close()
        end)
      end)
    ]],
      opts
    )
    local socket = udp.bound()
    local port = udp.port(socket)
    child:send("socket", socket)
    assert.same({ type = "udp4", port = port }, (transfers.arrived(arrivals)))
    local sender = dgram.create_socket "udp4"
    eventually(function()
      sender:send("hello", port, "127.0.0.1")
      return #arrivals == 2
    end)
    assert.equal("hello", arrivals[2][1])
    local got
    socket:on("message", function(text)
      got = text
    end)
    sender:send("the parent's", port, "127.0.0.1")
    eventually(function()
      return got == "the parent's"
    end)
    udp.close(socket)
    udp.close(sender)
    transfers.end_of(child)
  end)

  -- HANDLE-12
  in_both("goes on in the child when the parent's is closed in the next statement", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        socket:on("message", function(text, rinfo)
          socket:send("echo " .. text, rinfo.port, rinfo.address, function() socket:close() end)
        end)
        process.send "ready"
      end)
    ]],
      opts
    )
    local socket = udp.bound()
    local port = udp.port(socket)
    child:send("socket", socket)
    socket:close()
    transfers.arrived(arrivals)
    local client = udp.bound()
    client:send("x", port, "127.0.0.1")
    assert.equal("echo x", (client:wait("message", 5000)))
    udp.close(client)
    transfers.end_of(child)
  end)
end)

describe("process.fd", function()
  after_each(forks.clean)

  it("wraps what is open", function()
    local reader, writer = core.pipe()
    local wrapped = mw.process.fd(reader)
    assert.equal(reader, wrapped.fd)
    assert.equal("pipe", wrapped.kind)
    wrapped:close()
    wrapped:close()
    assert.is_nil(wrapped.fd)
    assert.is_nil(wrapped.stream)
    assert.is_nil(core.kind(reader))
    core.close(writer)
    local none, err = mw.process.fd(reader)
    assert.is_nil(none)
    assert.equal("EBADF", err.code)
    assert.matches(
      "^fd: bad argument 'fd'",
      misuse(function()
        mw.process.fd(-1)
      end)
    )
    assert.equal("mw.fd (closed)", tostring(wrapped))
  end)

  it("gives a stream, whose the descriptor is from then on", function()
    local reader, writer = core.pipe()
    local from, to = mw.process.fd(reader), mw.process.fd(writer)
    to.stream:finish "through a pipe"
    assert.equal("through a pipe", from.stream:read())
    assert.is_nil(from.fd)
    assert.is_nil(from.stream:read())
    from:close()
    eventually(function()
      return not core.kind(reader) and not core.kind(writer)
    end)
  end)

  it("gives no stream for a file, nor for what was closed meanwhile", function()
    local folder = scratch.new()
    local file = mw.process.fd(assert(uv.fs_open(folder:write("file", "text"), "r", 0)))
    assert.equal("file", file.kind)
    assert.is_nil(file.stream)
    file:close()
    folder:remove()
    local reader, writer = core.pipe()
    local wrapped = mw.process.fd(reader)
    core.close(reader)
    core.close(writer)
    assert.is_nil(wrapped.stream)
  end)

  in_both("sends a file", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, handle)
        local fd = handle.fd
        process.send { kind = handle.kind, text = require("luv").fs_read(fd, 100, 0), no_stream = handle.stream == nil }
        handle:close()
        process.send { fd = handle.fd or "none", is_open = require("luv").fs_fstat(fd) ~= nil }
      end)
    ]],
      opts
    )
    local folder = scratch.new()
    local fd = assert(uv.fs_open(folder:write("file", "the text"), "r", 0))
    local wrapped = mw.process.fd(fd)
    child:send("file", wrapped)
    assert.same({ kind = "file", text = "the text", no_stream = true }, (transfers.arrived(arrivals)))
    assert.same({ fd = "none", is_open = false }, (transfers.arrived(arrivals, 2)))
    assert.is_nil(wrapped.fd)
    eventually(function()
      return not core.kind(fd)
    end)
    folder:remove()
    transfers.end_of(child)
  end)

  in_both("keeps it here with keep_open", function(opts)
    local child, arrivals = transfers.start("process.on('message', function(m, h) h:close() process.send 'closed' end)", opts)
    local reader, writer = core.pipe()
    local wrapped = mw.process.fd(reader)
    child:send("pipe", wrapped, { keep_open = true })
    transfers.arrived(arrivals)
    assert.equal(reader, wrapped.fd)
    core.write_all(writer, "still")
    assert.equal("still", core.read(reader, 10))
    wrapped:close()
    core.close(writer)
    transfers.end_of(child)
  end)

  in_both("sends a pipe: what arrives is a stream that way", function(opts)
    local child, arrivals = transfers.start(
      [[
      local ends = {}
      process.on("message", function(message, handle)
        ends[message] = handle.stream
        process.send { kind = handle.kind, reads = ends[message].read ~= nil, writes = ends[message].write ~= nil }
        if message == "to" then
          ends.from:pipe(ends.to)
        end
      end)
    ]],
      opts
    )
    local from, to = { core.pipe() }, { core.pipe() }
    child:send("from", mw.process.fd(from[1]))
    child:send("to", mw.process.fd(to[2]))
    assert.same({ kind = "pipe", reads = true, writes = false }, (transfers.arrived(arrivals)))
    assert.same({ kind = "pipe", reads = false, writes = true }, (transfers.arrived(arrivals, 2)))
    local input, output = mw.process.fd(from[2]).stream, mw.process.fd(to[1]).stream
    input:finish "through the child"
    assert.equal("through the child", output:read())
    assert.is_nil(output:read())
    eventually(function()
      return input.closed and output.closed
    end)
    transfers.end_of(child)
  end)

  in_both("sends a socket, a UDP socket, a server, a directory", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, handle)
        local kind, stream = handle.kind, handle.stream
        process.send { kind = kind, stream = tostring(stream):match "^[%w.]+" }
        if stream then stream:finish "hello" stream:resume() else handle:close() end
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    local datagrams = udp.bound()
    child:send("tcp", mw.process.fd(core.dup(accepted:fileno())))
    child:send("udp", mw.process.fd(core.dup(datagrams:fileno())))
    child:send("server", mw.process.fd(core.dup(server:fileno())))
    child:send("directory", mw.process.fd(assert(uv.fs_open("/", "r", 0))))
    transfers.arrived(arrivals, 4)
    assert.same({ kind = "tcp", stream = "mw.net.socket" }, arrivals[1][1])
    assert.same({ kind = "udp", stream = "nil" }, arrivals[2][1])
    assert.same({ kind = "tcp", stream = "nil" }, arrivals[3][1])
    assert.same({ kind = "directory", stream = "nil" }, arrivals[4][1])
    assert.equal("hello", client:read())
    sockets.close(client, accepted, server)
    udp.close(datagrams)
    transfers.end_of(child)
  end)

  in_both("comes back from the child", function(opts)
    local child, arrivals = transfers.start(
      [[
      local reader, writer = require("mw.core.fd").pipe()
      process.send("read it", process.fd(reader))
      process.fd(writer).stream:finish "from the child's pipe"
    ]],
      opts
    )
    local _, handle = transfers.arrived(arrivals)
    local stream = handle.stream
    assert.equal("from the child's pipe", stream:read())
    assert.is_nil(stream:read())
    assert.equal(0, forks.finish(child).code)
  end)

  in_both("that was closed, or sent, or is a stream's, arrives as nil", function(opts)
    local child, arrivals = transfers.start("process.on('message', function(m, h) process.send(h == nil) if h then h:close() end end)", opts)
    local reader, writer = core.pipe()
    local wrapped, other = mw.process.fd(reader), mw.process.fd(writer)
    child:send("first", wrapped)
    child:send("second", wrapped)
    local stream = other.stream
    child:send("a stream's", other)
    transfers.arrived(arrivals, 3)
    assert.same({ { false }, { true }, { true } }, arrivals)
    stream:destroy()
    transfers.end_of(child)
  end)
end)
