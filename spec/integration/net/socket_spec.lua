local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local net = require "mw.net"
local sockets = require "spec.support.sockets"
local turns = require "spec.support.turns"

describe("connect", function()
  it("takes each form", function()
    local server, port = sockets.listen(sockets.resume)
    for _, form in ipairs {
      { port, "127.0.0.1" },
      { tostring(port), "127.0.0.1" },
      { { port = port, host = "127.0.0.1" } },
      { { port = port, host = "localhost", family = 4, no_delay = true, keep_alive = true } },
    } do
      local called = false
      table.insert(form, function()
        called = true
      end)
      local client = net.create_connection(table.unpack(form))
      assert.is_true(client.connecting)
      assert.is_false(called)
      assert(client:wait "ready")
      assert.is_true(called)
      assert.equal(port, client.remote_port)
      sockets.close(client)
    end
    sockets.close(server)
  end)

  it("does not take what can't be meant", function()
    for _, form in ipairs {
      {},
      { {} },
      { 65536 },
      { -1 },
      { true },
      { 80, "" },
      { 80, 5 },
      { { port = 80, hots = "x" } },
      { { port = 80, local_address = "localhost" } },
      { { port = 80, family = 5 } },
      { { port = 80, hints = { all = 1 } } },
      { { path = "" } },
      { { path = "/x", local_address = "127.0.0.1" } },
    } do
      assert.matches("^connect: ", misuse(function()
        net.connect(table.unpack(form))
      end))
      assert.matches("^connect: ", misuse(function()
        net.Socket.new():connect(table.unpack(form))
      end))
    end
    assert.matches("^Socket.new: unknown option 'port'", misuse(function()
      net.Socket.new { port = 80 }
    end))
  end)

  it("changes no table of the caller", function()
    local server, port = sockets.listen(sockets.resume)
    local opts = setmetatable({ port = port, host = "127.0.0.1" }, { __newindex = error })
    local client = net.connect(opts)
    assert(client:wait "connect")
    assert.same({ port = port, host = "127.0.0.1" }, setmetatable(opts, nil))
    sockets.close(client, server)
  end)

  it("emits lookup for a name, then connect, then ready", function()
    local server, port = sockets.listen(sockets.resume)
    local client = net.connect(port, "localhost")
    local events = sockets.record(client, "lookup", "connect", "ready")
    assert(client:wait "ready")
    local names = sockets.names(events)
    assert.matches("^lookup .*connect ready$", names)
    assert.is_nil(events[1][2])
    assert.equal("localhost", events[1][5])
    assert.equal(events[1][4], net.is_ip(events[1][3]))
    sockets.close(client)
    client = net.connect(port, "127.0.0.1")
    events = sockets.record(client, "lookup", "connect", "ready")
    assert(client:wait "ready")
    assert.equal("connect ready", sockets.names(events))
    sockets.close(client, server)
  end)

  it("tells by an error that nobody listens", function()
    local server, port = sockets.listen()
    sockets.close(server)
    local client = net.connect(port, "127.0.0.1")
    local events = sockets.record(client, "connect", "error", "close")
    eventually(function()
      return client.closed
    end)
    assert.equal("error close", sockets.names(events))
    local err = events[1][2]
    assert.equal("ECONNREFUSED", err.code)
    assert.equal("connect", err.syscall)
    assert.equal("127.0.0.1", err.address)
    assert.equal(port, err.port)
    assert.equal(("ECONNREFUSED: connection refused, connect 127.0.0.1:%d"):format(port), tostring(err))
    assert.is_true(events[2][2])
  end)

  it("tells by an error that there is no such host", function()
    local client = net.connect(80, "no.such.host.invalid")
    local told
    client:on("lookup", function(err)
      told = err
    end)
    local err = sockets.failure(client)
    assert.equal(told, err)
    assert.equal("getaddrinfo", err.syscall)
    assert.equal("no.such.host.invalid", err.hostname)
  end)

  it("takes the user's lookup, and tries each address it gives", function()
    local server, port = sockets.listen(sockets.resume)
    local asked
    local client = net.connect {
      port = port,
      host = "a.name",
      lookup = function(host, opts, done)
        asked = { host, opts.all }
        done(nil, { { address = "::1", family = 6 }, { address = "127.0.0.2" }, { address = "127.0.0.1", family = 4 } })
      end,
    }
    assert(client:wait "connect")
    assert.same({ "a.name", true }, asked)
    assert.equal("127.0.0.1", client.remote_address)
    sockets.close(client, server)
  end)

  it("tries only the first address without auto_select_family", function()
    local server, port = sockets.listen(sockets.resume)
    local client = net.connect {
      port = port,
      host = "a.name",
      auto_select_family = false,
      lookup = function(_, _, done)
        done(nil, { { address = "127.0.0.2" }, { address = "127.0.0.1" } })
      end,
    }
    assert.equal("127.0.0.2", sockets.failure(client).address)
    sockets.close(server)
  end)

  it("has all errors where every address fails", function()
    local server, port = sockets.listen()
    sockets.close(server)
    local client = net.connect {
      port = port,
      host = "a.name",
      lookup = function(_, _, done)
        done(nil, { { address = "127.0.0.2" }, { address = "127.0.0.1" } })
      end,
    }
    local err = sockets.failure(client)
    assert.equal("127.0.0.2", err.address)
    assert.equal(2, #err.errors)
    assert.equal("127.0.0.1", err.errors[2].address)
  end)

  it("goes to the next address where one does not answer", function()
    -- A queue that is full answers nobody.
    local server, port = sockets.listen(sockets.resume)
    local silent = assert(require("mw.core.socket").bind("tcp", "127.0.0.2", port))
    assert(require("mw.core.socket").listen(silent, 0))
    local waiting = {}
    for index = 1, 3 do
      waiting[index] = net.connect(port, "127.0.0.2")
    end
    turns()
    local client = net.connect {
      port = port,
      host = "a.name",
      auto_select_family_attempt_timeout = 20,
      lookup = function(_, _, done)
        done(nil, { { address = "127.0.0.2" }, { address = "127.0.0.1" } })
      end,
    }
    assert(client:wait("connect", 5000))
    assert.equal("127.0.0.1", client.remote_address)
    sockets.close(client, server, table.unpack(waiting))
    require("mw.core.fd").close(silent)
  end)

  it("refuses what the user's lookup gives and is no address", function()
    for _, answer in ipairs { "nonsense", {}, { { address = "x" } }, 5 } do
      local client = net.connect {
        port = 80,
        host = "a.name",
        lookup = function(_, _, done)
          done(nil, answer)
        end,
      }
      local err = sockets.failure(client)
      assert.equal(type(answer) == "table" and #answer == 0 and "ENOTFOUND" or "ERR_INVALID_IP_ADDRESS", err.code)
    end
    local client = net.connect {
      port = 80,
      host = "a.name",
      lookup = function(_, _, done)
        done "refused"
      end,
    }
    assert.equal("refused", sockets.failure(client))
  end)

  it("binds its own side to local_address and local_port", function()
    local server, port = sockets.listen(sockets.resume)
    local client = net.connect { port = port, host = "127.0.0.1", local_address = "127.0.0.3" }
    assert(client:wait "connect")
    assert.equal("127.0.0.3", client.local_address)
    local foreign = net.connect { port = port, host = "127.0.0.1", local_address = "192.0.2.1" }
    local err = sockets.failure(foreign)
    assert.equal("EADDRNOTAVAIL", err.code)
    assert.equal("192.0.2.1", err.address)
    sockets.close(client, server)
  end)

  it("sends what was written before the connection was there, in order", function()
    local got
    local server, port = sockets.listen(function(socket)
      local pieces = {}
      for line in socket:lines() do
        pieces[#pieces + 1] = line
      end
      got = table.concat(pieces, " ")
    end)
    local client = net.connect(port, "localhost")
    local order = {}
    assert.is_true(client:write("one\n", function()
      order[#order + 1] = "written"
    end))
    client:once("connect", function()
      order[#order + 1] = "connect"
    end)
    client:write "two\n"
    client:finish "three\n"
    assert.equal(14, client.bytes_written)
    eventually(function()
      return got
    end)
    assert.equal("one two three", got)
    assert.equal("connect written", table.concat(order, " "))
    sockets.close(client, server)
  end)

  it("can be taken back by destroy()", function()
    local server, port = sockets.listen(sockets.resume)
    for _, host in ipairs { "127.0.0.1", "localhost" } do
      local client = net.connect(port, host)
      local events = sockets.record(client, "connect", "error", "close", "lookup")
      local told
      client:write("lost", function(err)
        told = err
      end)
      client:destroy()
      eventually(function()
        return client.closed
      end)
      turns()
      assert.equal("close", sockets.names(events))
      assert.equal("ERR_STREAM_DESTROYED", told.code)
    end
    sockets.close(server)
  end)

  it("can be taken back by an abort token", function()
    local controller = mw.abort_controller()
    local client, accepted, server = sockets.pair(nil, { signal = controller.signal })
    controller:abort "enough"
    local err = sockets.failure(client)
    assert.equal("ABORT_ERR", err.code)
    assert.equal("enough", err.cause)
    assert.equal("ABORT_ERR", sockets.failure(net.connect { port = 80, signal = controller.signal }).code)
    sockets.close(accepted, server)
  end)

  it("waits for the close of a socket that is just ending", function()
    local client, accepted, server = sockets.pair()
    local events = sockets.record(client, "close", "connect")
    accepted:resume()
    server:on("connection", sockets.resume)
    client:destroy()
    client:connect(server:address().port, "127.0.0.1")
    eventually(function()
      return #events == 2
    end)
    assert.equal("close connect", sockets.names(events))
    client:write "alive"
    eventually(function()
      return server:get_connections() == 1
    end)
    assert.is_falsy(client.closed)
    sockets.close(client, server)
  end)

  it("is refused on a socket that has a connection", function()
    local client, accepted, server = sockets.pair()
    client:connect(server:address().port, "127.0.0.1")
    assert.equal("EISCONN", sockets.failure(client).code)
    sockets.close(accepted, server)
  end)

  it("begins anew on a socket that has ended", function()
    local server, port = sockets.listen(function(socket)
      socket:finish("hello"):resume()
    end)
    local client = net.Socket.new()
    for _ = 1, 3 do
      client:connect(port, "127.0.0.1")
      assert(client:wait "connect")
      assert.equal("hello", client:read())
      assert.is_nil((client:read()))
      eventually(function()
        return client.closed
      end)
    end
    sockets.close(server)
  end)
end)

describe("connect without descriptors", function()
  it("fails by EMFILE, for TCP and Unix sockets, and so does listen()", function()
    local code = [[
      local net = require "mw.net"
      local function report(socket)
        socket:on("error", function(err) print(err.code, err.syscall) end)
      end
      collectgarbage "stop"
      while io.open "/dev/null" do end
      report(net.connect(80, "127.0.0.1"))
      report(net.connect "/tmp/socket")
      report(net.create_server():listen(0))
    ]]
    local result = children.lua(code, { limits = { nofile = 32 } })
    local lines = {}
    for line in result.stdout:gmatch "[^\n]+" do
      lines[#lines + 1] = line
    end
    table.sort(lines)
    assert.same({ "EMFILE\tconnect", "EMFILE\tconnect", "EMFILE\tlisten" }, lines)
  end)
end)

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
