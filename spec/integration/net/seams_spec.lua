-- What the channel between processes and the cluster need of servers and
-- sockets.

local core = require "mw.core.fd"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local net = require "mw.net"
local sockets = require "spec.support.sockets"
local turns = require "spec.support.turns"
local uv = require "luv"

-- The connection of a socket, as another process would get it.
local function give_away(socket)
  local copy = core.dup(socket:fileno())
  socket:_give_away()
  return net._open_handle(copy)
end

describe("A server's count", function()
  it("includes a connection that is adopted for it", function()
    local client, accepted, server = sockets.pair()
    local handle = give_away(accepted)
    eventually(function()
      return server:get_connections() == 0
    end)
    local heir = net.Socket.adopt(handle, { server = server, pause = true })
    assert.is_true(heir:is_paused())
    assert.equal(1, server:get_connections())
    sockets.close(heir, client)
    eventually(function()
      return server:get_connections() == 0
    end)
    sockets.close(server)
  end)
end)

describe("Server.adopt", function()
  it("serves a handle that listens, to listeners that come later", function()
    local handle = assert(net._bind_listener { address = "127.0.0.1", port = 0, backlog = 5 })
    assert(handle:listen(5, function() end))
    local port = handle:getsockname().port
    -- The first of them luv has accepted already.
    local clients = {}
    for index = 1, 3 do
      clients[index] = net.connect(port, "127.0.0.1")
      assert(clients[index]:wait "connect")
    end
    turns()
    local server = net.Server.adopt(handle)
    assert.is_true(server.listening)
    server:on("connection", function(socket)
      socket:finish("adopted"):resume()
    end)
    for _, client in ipairs(clients) do
      assert.equal("adopted", client:read())
      client:resume()
    end
    assert.equal(port, server:address().port)
    sockets.close(server, table.unpack(clients))
  end)
end)

describe("A listen provider", function()
  local calls

  local function provide(fn)
    calls = {}
    net.set_listen_provider(function(server, what, done)
      calls[#calls + 1] = what
      fn(server, what, done)
    end)
  end

  after_each(function()
    net.set_listen_provider(nil)
  end)

  local function bind(_, what, done)
    local handle, err = net._bind_listener(what)
    mw.process.next_tick(done, err, handle)
  end

  it("gives the handle that listen() uses", function()
    provide(bind)
    local server, port = sockets.listen(function(socket)
      socket:finish("provided"):resume()
    end)
    assert.equal(1, #calls)
    assert.equal("127.0.0.1", calls[1].address)
    assert.equal(511, calls[1].backlog)
    local client = net.connect(port, "127.0.0.1")
    assert.equal("provided", client:read())
    sockets.close(client, server)
  end)

  it("gives the error that listen() emits", function()
    local taken, port = sockets.listen()
    provide(bind)
    local server = net.create_server():listen(port, "127.0.0.1")
    assert.equal("EADDRINUSE", sockets.failure(server).code)
    sockets.close(taken, server)
  end)

  it("is not asked for what is exclusive, of reuse_port, or a handle", function()
    provide(bind)
    local handle = uv.new_tcp()
    handle:bind("127.0.0.1", 0)
    for _, what in ipairs {
      { port = 0, exclusive = true },
      { port = 0, reuse_port = true },
      { handle = handle },
    } do
      local server = sockets.listen(nil, nil, what)
      sockets.close(server)
    end
    assert.equal(0, #calls)
  end)

  -- CLN-15
  it("may answer after close(): the handle is closed", function()
    local answer
    provide(function(_, what, done)
      function answer()
        local handle = assert(net._bind_listener(what))
        done(nil, handle)
        return handle
      end
    end)
    local server = net.create_server():listen(0)
    local events = sockets.record(server, "listening", "error", "close")
    server:close()
    assert(server:wait "close")
    assert.is_true(answer():is_closing())
    turns()
    assert.equal("close", sockets.names(events))
  end)

  it("may give an object of its own, whose connections come by _take", function()
    local closed = false
    local object = {
      listen = function()
        return true
      end,
      getsockname = function()
        return { ip = "127.0.0.1", family = "inet", port = 80 }
      end,
      is_closing = function()
        return closed
      end,
      close = function()
        closed = true
      end,
    }
    provide(function(_, _, done)
      done(nil, object)
    end)
    local got
    local server = net.create_server(function(socket)
      got = socket:read()
      socket:destroy()
    end)
    server:listen(80)
    assert(server:wait "listening")
    assert.equal(80, server:address().port)
    net.set_listen_provider(nil)
    local client, accepted, other = sockets.pair()
    assert.is_true(server:_take(give_away(accepted), "unread"))
    eventually(function()
      return got == "unread"
    end)
    sockets.close(client, server, other)
    assert.is_true(closed)
  end)

  it("learns from _take that there are connections enough", function()
    local server = net.create_server()
    server.max_connections = 0
    local dropped
    server:on("drop", function(who)
      dropped = who
    end)
    local client, accepted, other = sockets.pair()
    local handle = give_away(accepted)
    assert.is_false(server:_take(handle))
    assert.equal("127.0.0.1", dropped.remote_address)
    assert.is_true(handle:is_closing())
    sockets.close(client, other)
  end)
end)
