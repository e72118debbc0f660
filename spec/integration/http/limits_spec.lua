local eventually = require "spec.support.eventually"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local run_mwrun = require "spec.support.run_mwrun"
local settled = require "spec.support.settled"

local function hello(_, res)
  res:finish "hello"
end

local function serve(opts, handler)
  return raw.serve(handler or hello, opts)
end

describe("A server's limits:", function()
  it("a head larger than max_header_size gets 431", function()
    local server, port = serve { max_header_size = 200 }
    assert.equal("200", raw.statuses((raw.request(port, "GET /", "X-A: " .. ("a"):rep(100) .. "\r\n"))))
    assert.equal("431", raw.statuses((raw.request(port, "GET /", "X-A: " .. ("a"):rep(200) .. "\r\n"))))
    local text, err = raw.send(port, "GET /" .. ("a"):rep(1000000))
    assert.is_nil(err)
    assert.equal("431", raw.statuses(text))
    raw.close(server)
  end)

  it("more than max_headers get 431", function()
    local server, port = serve { max_headers = 5 }
    assert.equal("200", raw.statuses((raw.request(port, "GET /", "A: b\r\nA: b\r\nA: b\r\n"))))
    assert.equal("431", raw.statuses((raw.request(port, "GET /", "A: b\r\nA: b\r\nA: b\r\nA: b\r\n"))))
    raw.close(server)
  end)

  it("a body longer than max_body gets 413, without 100 Continue", function()
    local called = false
    local server, port = serve({ max_body = 4 }, function(_, res)
      called = true
      res:finish()
    end)
    local head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    assert.equal("413", raw.statuses((raw.send(port, head .. "\r\nhello"))))
    assert.equal("413", raw.statuses((raw.send(port, head .. "Expect: 100-continue\r\n\r\n"))))
    assert.is_false(called)
    raw.close(server)
  end)

  it("a chunked body longer than max_body gets 413, and its handler an error", function()
    local failure, pieces = nil, {}
    local server, port = serve({ max_body = 4 }, function(req, res)
      while true do
        local piece, err = req:read()
        if not piece then
          failure = err
          break
        end
        pieces[#pieces + 1] = piece
      end
      res:finish()
    end)
    local text = raw.request(port, "POST /", "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    assert.equal("413", raw.statuses(text))
    eventually(function()
      return failure
    end)
    assert.equal("ERR_HTTP_BODY_TOO_LARGE", failure.code)
    raw.close(server)
  end)

  it("connections past max_connections get 503", function()
    local server, port = serve { max_connections = 1 }
    local first = raw.connect(port)
    eventually(function()
      return server:get_connections() == 1
    end)
    local text, err = raw.request(port)
    assert.is_nil(err)
    assert.equal("503", raw.statuses(text))
    first:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    raw.read_until(first, "hello")
    first:destroy()
    eventually(function()
      return server:get_connections() == 0
    end)
    assert.equal("200", raw.statuses((raw.request(port))))
    raw.close(server)
  end)

  it("a head that does not come gets 408", function()
    local server, port = serve { headers_timeout = 30 }
    for _, bytes in ipairs { "", "GET / HTTP/1.1\r\nHost:" } do
      local text, err = raw.send(port, bytes)
      assert.is_nil(err)
      assert.equal("408", raw.statuses(text))
    end
    raw.close(server)
  end)

  it("a head that trickles gets 408", function()
    local server, port = serve { headers_timeout = 50 }
    local socket = raw.connect(port)
    socket:on("error", function() end)
    local timer = mw.timers.set_interval(function()
      socket:write "X"
    end, 5)
    assert.equal("408", raw.statuses((raw.read_until(socket, "408"))))
    mw.timers.clear_interval(timer)
    socket:destroy()
    raw.close(server)
  end)

  it("a body that does not come gets 408, and its handler an error", function()
    local failure
    local server, port = serve({ request_timeout = 40 }, function(req)
      failure = select(2, req:body())
    end)
    local text = raw.request(port, "POST /", "Content-Length: 5\r\n", "he")
    assert.equal("408", raw.statuses(text))
    eventually(function()
      return failure
    end)
    assert.equal("ETIMEDOUT", failure.code)
    raw.close(server)
  end)

  it("a connection without a next request is ended after keep_alive_timeout", function()
    local server, port = serve { keep_alive_timeout = 30 }
    local text, err = raw.send(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert.is_nil(err)
    assert.equal("200", raw.statuses(text))
    raw.close(server)
  end)

  it("a handler may take its time", function()
    local server, port = serve({ headers_timeout = 10, request_timeout = 10, keep_alive_timeout = 10 }, function(_, res)
      mw.sleep(50)
      res:finish "late"
    end)
    assert.equal("late", raw.body_of(raw.request(port)))
    raw.close(server)
  end)

  it("requests that nobody reads the answers of are bounded", function()
    local count = 0
    local server, port = serve({}, function(_, res)
      count = count + 1
      res:finish(("x"):rep(10000))
    end)
    local socket = raw.connect(port)
    socket:on("error", function() end)
    socket:write(("GET / HTTP/1.1\r\nHost: x\r\n\r\n"):rep(20000))
    eventually(function()
      return count > 0
    end)
    assert.is_true(settled(function()
      return count
    end) < 5000, tostring(count))
    socket:destroy()
    raw.close(server)
  end)

  describe("a client that takes nothing of its answer is reset after send_timeout,", function()
    local function ends(handler)
      local is_asked
      local server, port = serve({ send_timeout = 40 }, function(...)
        is_asked = true
        handler(...)
      end)
      local socket = raw.connect(port)
      socket:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      eventually(function()
        return is_asked and server:get_connections() == 0
      end)
      assert.is_true(#raw.read_until(socket) < 64 * 1024 * 1024)
      socket:destroy()
      raw.close(server)
    end

    it("with one that is whole", function()
      ends(function(_, res)
        res:finish(("x"):rep(64 * 1024 * 1024))
      end)
    end)

    it("with one in pieces, whose handler learns it", function()
      local failure, is_closed
      ends(function(_, res)
        res:on("close", function()
          is_closed = true
        end)
        local ok
        repeat
          ok, failure = res:write(("x"):rep(65536))
          if not ok then
            ok, failure = res:wait "drain"
          end
        until not ok
      end)
      eventually(function()
        return failure and is_closed
      end)
      assert.equal("ETIMEDOUT", failure.code)
    end)

    it("though the server closes", function()
      local is_asked
      local server, port = serve({ send_timeout = 40 }, function(_, res)
        is_asked = true
        res:finish(("x"):rep(64 * 1024 * 1024))
      end)
      local socket = raw.connect(port)
      socket:on("error", function() end)
      socket:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      eventually(function()
        return is_asked
      end)
      server:close()
      assert(server:wait("close", 5000))
      socket:destroy()
    end)
  end)

  describe("a client that ends its side before it has its answer", function()
    it("has left, where nothing comes for keep_alive_timeout: the handler learns it", function()
      local failure
      local server, port = serve({ keep_alive_timeout = 40 }, function(_, res)
        res:write "begun"
        failure = select(2, res:wait "close")
      end)
      local socket = raw.connect(port)
      socket:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      raw.read_until(socket, "begun")
      socket:destroy()
      eventually(function()
        return failure and server:get_connections() == 0
      end)
      assert.equal("ECONNRESET", failure.code)
      raw.close(server)
    end)

    it("gets all of it, where that comes in pieces in between", function()
      local server, port = serve({ keep_alive_timeout = 300 }, function(_, res)
        for _ = 1, 12 do
          res:write "piece "
          mw.sleep(30)
        end
        res:finish "end"
      end)
      local socket = raw.connect(port)
      socket:finish "GET / HTTP/1.0\r\nHost: x\r\n\r\n"
      assert.equal(("piece "):rep(12) .. "end", raw.body_of(raw.read_until(socket)))
      raw.close(server)
    end)
  end)

  it("a client that takes its answer slowly gets all of it", function()
    local server, port = serve({ send_timeout = 400 }, function(_, res)
      res:finish(("x"):rep(24 * 1024 * 1024))
    end)
    local socket = raw.connect(port)
    socket:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    local size = 0
    while true do
      local piece = socket:read()
      if not piece then
        break
      end
      size = size + #piece
      mw.sleep(2)
    end
    assert.is_true(size > 24 * 1024 * 1024)
    socket:destroy()
    raw.close(server)
  end)

  it("an idle keep-alive connection takes less than 3 KiB", function()
    local result = run_mwrun { "scripts/bench/workloads/http_idle.lua", "500" }
    assert.equal("", result.stderr)
    assert.is_true(tonumber(result.stdout) < 3072, result.stdout)
  end)
end)
