local eventually = require "spec.support.eventually"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local settled = require "spec.support.settled"

local head = "POST / HTTP/1.1\r\nHost: x\r\n"

describe("The body of a request", function()
  local seen

  local function echo(req, res)
    seen = req
    local text, err = req:body()
    res:finish(text or err.code)
  end

  it("comes whole, by its length or in chunks", function()
    local server, port = raw.serve(echo)
    assert.equal("hello", raw.body_of(raw.request(port, "POST /", "Content-Length: 5\r\n", "hello")))
    assert.equal("hello there",
      raw.body_of(raw.request(port, "POST /", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n6\r\n there\r\n0\r\n\r\n")))
    assert.equal("", raw.body_of(raw.request(port)))
    raw.close(server)
  end)

  it("comes whole in any pieces", function()
    local server, port = raw.serve(echo)
    local socket = raw.connect(port)
    socket:set_no_delay()
    for char in (head .. "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"):gmatch "." do
      socket:write(char)
      mw.sleep(0)
    end
    assert.equal("hello!", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
  end)

  it("can be asked for twice", function()
    local server, port = raw.serve(function(req, res)
      res:finish(req:body() .. req:body())
    end)
    assert.equal("abab", raw.body_of(raw.request(port, "POST /", "Content-Length: 2\r\n", "ab")))
    raw.close(server)
  end)

  it("past a limit is an error, and the server goes on", function()
    local server, port = raw.serve(function(req, res)
      local text, err = req:body(3)
      res:finish(text or err.code)
    end)
    assert.equal("ERR_HTTP_BODY_TOO_LARGE", raw.body_of(raw.request(port, "POST /", "Content-Length: 5\r\n", "hello")))
    assert.equal("abc", raw.body_of(raw.request(port, "POST /", "Content-Length: 3\r\n", "abc")))
    raw.close(server)
  end)

  it("of many megabytes comes whole", function()
    local size = 0
    local server, port = raw.serve(function(req, res)
      req:on("data", function(piece)
        size = size + #piece
      end)
      req:on("end", function()
        res:finish(tostring(size))
      end)
    end)
    local body = ("0123456789abcdef"):rep(1024 * 1024)
    local text = raw.request(port, "POST /", ("Content-Length: %d\r\n"):format(#body), body)
    assert.equal(tostring(#body), raw.body_of(text))
    raw.close(server)
  end)

  it("holds the client back while nobody reads", function()
    local go
    local server, port = raw.serve(function(req, res)
      req:read(1)
      eventually(function()
        return go
      end)
      res:finish(tostring(#req:body()))
    end)
    local socket = raw.connect(port)
    local body = ("x"):rep(64 * 1024 * 1024)
    socket:write(head .. ("Connection: close\r\nContent-Length: %d\r\n\r\n"):format(#body))
    socket:write(body)
    local waiting = settled(function()
      return socket._handle:get_write_queue_size()
    end)
    assert.is_true(waiting > 32 * 1024 * 1024)
    go = true
    assert.equal(tostring(#body - 1), raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
  end)

  it("that nobody reads is passed over, and the next request answered", function()
    local server, port = raw.serve(function(_, res)
      res:finish "x"
    end)
    local first = head .. "Content-Length: 100000\r\n\r\n" .. ("a"):rep(100000)
    local text = raw.send(port, first .. "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert.equal("200 200", raw.statuses(text))
    raw.close(server)
  end)

  it("may have an empty line behind it, which does not cut the answer", function()
    local server, port = raw.serve(function(req, res)
      req:body()
      res:finish(("x"):rep(100000))
    end)
    for _ = 1, 20 do
      local socket = raw.connect(port)
      socket:set_no_delay()
      socket:write(head .. "Connection: close\r\nContent-Length: 2\r\n\r\nab")
      raw.read_until(socket, "\r\n\r\n")
      socket:write "\r\n"
      local text, _, err = raw.read_until(socket)
      assert.is_nil(err)
      assert.matches("xx$", text)
      socket:destroy()
    end
    raw.close(server)
  end)

  it("is asked for by 100 Continue", function()
    local server, port = raw.serve(echo)
    local socket = raw.connect(port)
    socket:write(head .. "Connection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert.equal("HTTP/1.1 100 Continue\r\n\r\n", (raw.read_until(socket, "\r\n\r\n")))
    socket:write "hello"
    assert.equal("hello", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
  end)

  it("ends in an error where the client goes away in the middle", function()
    local failure, closed
    local server, port = raw.serve(function(req, res)
      res:on("close", function()
        closed = true
      end)
      failure = select(2, req:body())
    end)
    local socket = raw.connect(port)
    socket:write(head .. "Content-Length: 5\r\n\r\nhe")
    eventually(function()
      return server:get_connections() == 1
    end)
    socket:destroy()
    eventually(function()
      return failure and closed
    end)
    assert.equal("ECONNRESET", failure.code)
    raw.close(server)
  end)

  it("can flow into the response", function()
    local server, port = raw.serve(function(req, res)
      req:pipe(res)
    end)
    local text = raw.request(port, "POST /", "Content-Length: 5\r\n", "hello")
    assert.equal("5\r\nhello\r\n0\r\n\r\n", raw.body_of(text))
    raw.close(server)
  end)

  it("can be JSON or a form", function()
    local server, port = raw.serve(function(req, res)
      local value, err = req[req.path:sub(2)](req)
      res:json(value or { error = err.code })
    end)
    local function post(path, body)
      return raw.body_of(raw.request(port, "POST " .. path, ("Content-Length: %d\r\n"):format(#body), body))
    end
    assert.equal('{"a":[1]}', post("/json", '{"a":[1]}'))
    assert.equal('{"error":"ERR_INVALID_JSON"}', post("/json", "{"))
    assert.equal('{"a":"b c"}', post("/form", "a=b+c"))
    raw.close(server)
  end)

  it("says what it is", function()
    local server, port = raw.serve(echo)
    raw.request(port, "GET /a?b")
    assert.equal("mw.http.request (GET /a?b)", tostring(seen))
    assert.is_true(seen.complete)
    raw.close(server)
  end)
end)
