-- A connection that is there: its streams, its limits, its end.

local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local net = require "mw.net"
local sockets = require "spec.support.sockets"
local turns = require "spec.support.turns"

describe("A socket", function()
  it("tells both its ends", function()
    local client, accepted, server = sockets.pair()
    local address = client:address()
    assert.same({ address = "127.0.0.1", family = "IPv4", port = accepted.remote_port }, address)
    assert.equal(server:address().port, client.remote_port)
    assert.equal("127.0.0.1", client.remote_address)
    assert.equal("IPv4", client.remote_family)
    assert.equal(client.local_port, accepted.remote_port)
    assert.equal(client.local_address, accepted.remote_address)
    assert.equal("IPv4", accepted.local_family)
    assert.matches("127.0.0.1:" .. client.remote_port, tostring(client), 1, true)
    sockets.close(client, accepted, server)
    assert.same({}, client:address())
    assert.is_nil(client.local_port)
    assert.equal("127.0.0.1", client.remote_address)
  end)

  it("tells its state", function()
    local idle = net.Socket.new()
    assert.is_true(idle.pending)
    assert.is_false(idle.connecting)
    assert.equal("closed", idle.ready_state)
    local server, port = sockets.listen(function(socket)
      socket:wait "end"
      socket:finish()
    end, { allow_half_open = true })
    server:on("connection", sockets.resume)
    local client = net.connect(port, "127.0.0.1")
    assert.equal("opening", client.ready_state)
    assert.is_true(client.connecting and client.pending)
    assert(client:wait "connect")
    assert.equal("open", client.ready_state)
    assert.is_false(client.connecting or client.pending)
    client:finish()
    assert.equal("read_only", client.ready_state)
    sockets.close(client, server)
    assert.equal("closed", client.ready_state)
  end)

  it("counts its bytes, those that wait included", function()
    local client, accepted, server = sockets.pair()
    client:write "12345"
    client:write "678"
    assert.equal(8, client.bytes_written)
    local got = children.collect(accepted)
    eventually(function()
      return got() == "12345678"
    end)
    assert.equal(8, accepted.bytes_read)
    assert.equal(0, client.bytes_read)
    local big = ("x"):rep(20000000)
    client:write(big)
    client:write "more"
    assert.equal(8 + #big + 4, client.bytes_written)
    assert.equal(#big + 4, client.buffer_size)
    sockets.close(client, accepted, server)
  end)

  it("reads ahead what nobody wants yet, a buffer's worth", function()
    local client, accepted, server = sockets.pair()
    client:write(("x"):rep(10000000))
    eventually(function()
      return accepted.bytes_read > 0
    end)
    turns()
    assert.is_true(accepted.bytes_read < 1000000)
    assert.equal("xxxx", accepted:read(4))
    sockets.close(client, accepted, server)
  end)

  it("reads nothing before somebody wants it where it was accepted with pause_on_connect", function()
    local accepted
    local server = sockets.listen(function(socket)
      accepted = socket
    end, { pause_on_connect = true })
    local client = net.connect(server:address().port)
    client:write "some"
    eventually(function()
      return accepted
    end)
    turns()
    assert.equal(0, accepted.bytes_read)
    assert.equal("some", accepted:read())
    sockets.close(client, accepted, server)
  end)

  it("learns that the peer has ended although nobody reads", function()
    local client, accepted, server = sockets.pair()
    local events = sockets.record(accepted, "end", "close", "error")
    client:finish()
    eventually(function()
      return accepted.closed and client.closed
    end)
    assert.equal("end", events[1][1])
    assert.same({ "close", n = 1, false }, events[2])
    assert.equal(0, (server:get_connections()))
    sockets.close(server)
  end)

  it("learns that the peer has gone although nobody reads; the next read tells why", function()
    local client, accepted, server = sockets.pair()
    local events = sockets.record(accepted, "end", "close")
    client:reset_and_destroy()
    eventually(function()
      return accepted.closed
    end)
    assert.same({ { "close", n = 1, true } }, events)
    local data, err = accepted:read()
    assert.is_nil(data)
    assert.equal("ECONNRESET", err.code)
    sockets.close(client, server)
  end)

  it("tells a fast writer to wait, and when to go on", function()
    local client, accepted, server = sockets.pair()
    local chunk = ("0123456789abcdef"):rep(4096)
    local sent = 0
    repeat
      sent = sent + #chunk
    until not client:write(chunk)
    local drained = false
    client:on("drain", function()
      drained = true
    end)
    turns()
    assert.is_false(drained)
    local received = 0
    accepted:on("data", function(data)
      received = received + #data
    end)
    eventually(function()
      return drained and received == sent
    end)
    assert.is_true(client:write "x")
    sockets.close(client, accepted, server)
  end)

  it("finishes when the peer has, unless it may be half open", function()
    local client, accepted, server = sockets.pair()
    local events = sockets.record(accepted, "end", "finish", "close")
    accepted:resume()
    client:finish()
    eventually(function()
      return accepted.closed
    end)
    assert.equal("end finish close", sockets.names(events))
    assert.is_false(events[3][2])
    sockets.close(client, server)
  end)

  it("that may be half open answers after the peer has ended", function()
    local client, accepted, server = sockets.pair({ allow_half_open = true }, { allow_half_open = true })
    client:finish "question"
    assert.equal("question", accepted:read())
    assert.is_nil((accepted:read()))
    turns()
    assert.equal("write_only", accepted.ready_state)
    accepted:finish "answer"
    assert.equal("answer", client:read())
    assert.is_nil((client:read()))
    eventually(function()
      return client.closed and accepted.closed
    end)
    sockets.close(server)
  end)

  it("gives EPIPE to who writes after the peer has ended", function()
    local client, accepted, server = sockets.pair()
    local told
    accepted:on("end", function()
      mw.process.next_tick(function()
        accepted:write("late", function(err)
          told = err
        end)
      end)
    end)
    accepted:resume()
    client:finish()
    assert.equal("EPIPE", sockets.failure(accepted).code)
    assert.equal("EPIPE", told.code)
    sockets.close(client, server)
  end)

  it("that has finished keeps what comes for who reads it later", function()
    local client, accepted, server = sockets.pair(nil, { allow_half_open = true })
    local text = ("0123456789"):rep(100000)
    client:finish "go"
    accepted:finish(text)
    turns()
    assert.is_true(client.bytes_read <= 2 * 65536)
    local got = children.collect(client)
    eventually(function()
      return client.closed
    end)
    assert.is_true(got() == text)
    sockets.close(accepted, server)
  end)

  it("ends at once by destroy(), with an error where it gets one", function()
    local client, accepted, server = sockets.pair()
    accepted:resume()
    local events = sockets.record(client, "error", "close")
    client:destroy "reason"
    client:destroy "another"
    eventually(function()
      return client.closed
    end)
    assert.same({ { "error", n = 1, "reason" }, { "close", n = 1, true } }, events)
    eventually(function()
      return accepted.closed
    end)
    sockets.close(server)
  end)

  it("ends after all is written by destroy_soon()", function()
    local client, accepted, server = sockets.pair()
    local text = ("y"):rep(1000000)
    client:write(text)
    client:destroy_soon()
    local got = children.collect(accepted)
    eventually(function()
      return client.closed and #got() == #text
    end)
    sockets.close(accepted, server)
  end)

  it("resets the connection by reset_and_destroy()", function()
    local client, accepted, server = sockets.pair()
    local events = sockets.record(client, "error", "close")
    accepted:resume()
    client:reset_and_destroy()
    assert.equal("ECONNRESET", sockets.failure(accepted).code)
    eventually(function()
      return client.closed and accepted.closed
    end)
    assert.same({ { "close", n = 1, false } }, events)
    local port = server:address().port
    server:on("connection", function(socket)
      assert.equal("ECONNRESET", select(2, socket:read()).code)
    end)
    local early = net.connect(port, "127.0.0.1"):reset_and_destroy()
    assert.is_true(early.connecting)
    eventually(function()
      return early.closed
    end)
    assert.equal("ERR_SOCKET_CLOSED", sockets.failure(net.Socket.new():reset_and_destroy()).code)
    eventually(function()
      return server:get_connections() == 0
    end)
    sockets.close(server)
  end)

  it("without a connection refuses a write by ERR_SOCKET_CLOSED", function()
    local socket = net.Socket.new()
    socket:write "x"
    assert.equal("ERR_SOCKET_CLOSED", sockets.failure(socket).code)
  end)

  it("may be told everything after its end", function()
    local client, accepted, server = sockets.pair()
    sockets.close(client)
    client:destroy()
    client:destroy_soon()
    client:set_timeout(5)
    client:set_no_delay():set_keep_alive(true, 1000):ref():unref():pause():resume()
    assert.is_nil(client:fileno())
    client:on("error", function() end)
    assert.is_false(client:write "x")
    sockets.close(accepted, server)
  end)
end)

describe("set_timeout", function()
  it("emits timeout after a time without traffic, and ends nothing", function()
    local client, accepted, server = sockets.pair()
    local called = false
    local before = mw.process.hrtime()
    client:set_timeout(40, function()
      called = true
    end)
    assert.equal(40, client.timeout)
    eventually(function()
      return called
    end)
    assert.is_true(mw.process.hrtime() - before >= 40e6)
    assert.is_falsy(client.destroyed)
    sockets.close(client, accepted, server)
  end)

  it("counts from the last read or write", function()
    local client, accepted, server = sockets.pair()
    local idle = false
    client:set_timeout(400, function()
      idle = true
    end)
    accepted:resume()
    client:resume()
    for round = 1, 8 do
      mw.sleep(80)
      local side = round % 2 == 0 and client or accepted
      side:write "x"
      assert.is_false(idle)
    end
    eventually(function()
      return idle
    end)
    idle = false
    client:once("timeout", function()
      idle = true
    end)
    client:write "again"
    eventually(function()
      return idle
    end)
    sockets.close(client, accepted, server)
  end)

  it("of 0 ends it", function()
    local client, accepted, server = sockets.pair(nil, { timeout = 20 })
    local function fail()
      error "timed out"
    end
    client:on("timeout", fail)
    client:set_timeout(0)
    mw.sleep(50)
    assert.equal(0, client.timeout)
    sockets.close(client, accepted, server)
  end)

  it("counts while it connects too, and does not keep the process alive", function()
    local code = [[
      local net = require "mw.net"
      local socket = net.Socket.new { timeout = 60000 }
      socket:set_timeout(100000)
      print "over"
    ]]
    local before = mw.process.hrtime()
    assert.equal("over\n", children.lua(code).stdout)
    assert.is_true(mw.process.hrtime() - before < 10e9)
  end)
end)

describe("The death of a peer", function()
  it("shows as the end, or as ECONNRESET, on the other side", function()
    local code = [[
      local socket = require "mw.net".connect(%d, "127.0.0.1")
      socket:on("data", function() print "reading" socket:pause() end)
    ]]
    local result
    local server, port = sockets.listen(function(socket)
      socket:write(("z"):rep(5000000))
      local data, err = socket:read()
      result = data or err and err.code or "end"
    end)
    local child = children.start_lua(code:format(port))
    assert.equal("reading", child.stdout:lines()())
    child:kill "SIGKILL"
    child:wait "close"
    eventually(function()
      return result
    end)
    assert.is_true(result == "end" or result == "ECONNRESET" or result == "EPIPE", result)
    eventually(function()
      return server:get_connections() == 0
    end)
    sockets.close(server)
  end)

  it("brings out at its exit what it wrote before", function()
    local client_code = [[
      local net = require "mw.net"
      local socket = net.connect(%d, "127.0.0.1")
      socket:on("connect", function()
        socket:write(("w"):rep(3000000))
        os.exit(0)
      end)
    ]]
    local size = 0
    local server, port = sockets.listen(function(socket)
      turns()
      socket:on("data", function(chunk)
        size = size + #chunk
      end)
    end)
    local result = children.lua(client_code:format(port))
    assert.equal(0, result.code)
    eventually(function()
      return size == 3000000
    end)
    sockets.close(server)
  end)
end)
