-- Making a connection.

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
