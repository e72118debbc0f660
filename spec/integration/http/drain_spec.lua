local eventually = require "spec.support.eventually"
local net = require "mw.net"
local raw = require "spec.support.raw_http"
local turns = require "spec.support.turns"

local request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

describe("A server that closes", function()
  it("answers what is under way, with Connection: close", function()
    local is_under_way, is_closing
    local server, port = raw.serve(function(_, res)
      is_under_way = true
      eventually(function()
        return is_closing
      end)
      res:finish "late"
    end)
    local socket = raw.connect(port)
    socket:write(request)
    eventually(function()
      return is_under_way
    end)
    server:close()
    is_closing = true
    local text, _, err = raw.read_until(socket)
    assert.is_nil(err)
    assert.matches("\r\nConnection: close\r\n", text)
    assert.equal("late", raw.body_of(text))
    assert(server:wait("close", 5000))
    socket:destroy()
  end)

  it("takes no more connections", function()
    local server, port = raw.serve(function() end)
    server:close()
    local _, err = net.connect(port, "127.0.0.1"):wait "connect"
    assert.equal("ECONNREFUSED", err.code)
  end)

  it("keeps an idle connection for its next request", function()
    local server, port = raw.serve(function(_, res)
      res:finish "x"
    end)
    local socket = raw.connect(port)
    socket:write(request)
    assert.matches("keep%-alive", (raw.read_until(socket, "\r\n\r\nx")))
    server:close()
    turns(20)
    socket:write(request)
    local text, _, err = raw.read_until(socket)
    assert.is_nil(err)
    assert.matches("\r\nConnection: close\r\n", text)
    assert.equal("x", raw.body_of(text))
    socket:destroy()
    assert(server:wait("close", 5000))
  end)

  it("ends an idle connection in order once the time is over", function()
    local server, port = raw.serve(function(_, res)
      res:finish "x"
    end, { drain_timeout = 30 })
    local used, unused = raw.connect(port), raw.connect(port)
    used:write(request)
    raw.read_until(used, "\r\n\r\nx")
    server:close()
    for _, socket in ipairs { used, unused } do
      local text, _, err = raw.read_until(socket)
      assert.equal("", text)
      assert.is_nil(err)
      socket:destroy()
    end
    assert(server:wait("close", 5000))
  end)

  it("resets nobody who sends meanwhile", function()
    local server, port = raw.serve(function(_, res)
      res:finish "x"
    end)
    local socket = raw.connect(port)
    socket:write(request)
    raw.read_until(socket, "\r\n\r\nx")
    server:close()
    socket:write(request:rep(1000))
    local text, _, err = raw.read_until(socket)
    assert.is_nil(err)
    assert.equal("200", raw.statuses(text))
    socket:destroy()
    assert(server:wait("close", 5000))
  end)

  it("ends idle connections at once where that is asked for", function()
    local server, port = raw.serve(function(_, res)
      res:finish "x"
    end)
    local socket = raw.connect(port)
    eventually(function()
      return server:get_connections() == 1
    end)
    server:close()
    server:close_idle_connections()
    local text, _, err = raw.read_until(socket)
    assert.equal("", text)
    assert.is_nil(err)
    socket:destroy()
    assert(server:wait("close", 5000))
  end)
end)

describe("An upgrade", function()
  local upgrade = "GET /chat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"

  it("gives the socket and what was read already", function()
    local server, port = raw.serve(function() end)
    server:on("upgrade", function(req, socket, head)
      assert.equal("/chat", req.url)
      assert.equal("echo", req.headers.upgrade)
      socket:write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n" .. head)
      socket:on("data", function(piece)
        socket:write(piece)
      end)
    end)
    local socket = raw.connect(port)
    socket:write(upgrade .. "first")
    assert.matches("\r\n\r\nfirst$", (raw.read_until(socket, "first")))
    socket:write "second"
    assert.equal("second", (raw.read_until(socket, "second")))
    assert.equal(1, server:get_connections())
    socket:destroy()
    raw.close(server)
  end)

  it("that nobody wants is a request", function()
    local server, port = raw.serve(function(_, res)
      res:finish "no"
    end)
    local socket = raw.connect(port)
    socket:write(upgrade)
    assert.matches("no$", (raw.read_until(socket, "no$")))
    socket:destroy()
    raw.close(server)
  end)
end)
