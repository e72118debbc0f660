local eventually = require "spec.support.eventually"
local http = require "mw.http"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local net = require "mw.net"
local raw = require "spec.support.raw_http"
local turns = require "spec.support.turns"

local function hello(_, res)
  res:finish "hello"
end

describe("An HTTP server", function()
  it("answers a request", function()
    local server, port = raw.serve(hello)
    local response = raw.request(port)
    assert.matches("^HTTP/1%.1 200 OK\r\n", response)
    assert.matches("\r\nDate: %a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT\r\n", response)
    assert.matches("\r\nContent%-Length: 5\r\n", response)
    assert.matches("\r\nConnection: close\r\n", response)
    assert.equal("hello", raw.body_of(response))
    raw.close(server)
  end)

  it("tells the handler what was asked for", function()
    local seen
    local server, port = raw.serve(function(req, res)
      seen = {
        method = req.method,
        url = req.url,
        path = req.path,
        query_string = req.query_string,
        query = req.query,
        version = req.http_version,
        one = req:get_header "X-ONE",
        headers = req.headers,
        address = req.socket.remote_address,
        family = req.socket.remote_family,
        local_port = req.socket.local_port,
      }
      res:finish()
    end)
    raw.request(port, "POST /a%20b?x=1&y=a+b%21&x=2", "X-One:  1 \r\nX-Two: a\r\nX-Two: b\r\nSet-Cookie: c\r\n")
    assert.equal("POST", seen.method)
    assert.equal("/a%20b?x=1&y=a+b%21&x=2", seen.url)
    assert.equal("/a%20b", seen.path)
    assert.equal("x=1&y=a+b%21&x=2", seen.query_string)
    assert.same({ x = { "1", "2" }, y = "a b!" }, seen.query)
    assert.equal("1.1", seen.version)
    assert.equal("1", seen.one)
    assert.same({ host = "x", connection = "close", ["x-one"] = "1", ["x-two"] = "a, b", ["set-cookie"] = { "c" } },
      seen.headers)
    assert.equal("127.0.0.1", seen.address)
    assert.equal("IPv4", seen.family)
    assert.equal(port, seen.local_port)
    raw.close(server)
  end)

  it("keeps the connection for more requests", function()
    local server, port = raw.serve(function(req, res)
      res:finish(req.url)
    end)
    local socket = raw.connect(port)
    for index = 1, 3 do
      socket:write(("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(index))
      local text = raw.read_until(socket, "/%d")
      assert.matches("\r\nConnection: keep%-alive\r\nKeep%-Alive: timeout=5\r\n", text)
      assert.equal("/" .. index, raw.body_of(text))
    end
    assert.equal(1, server:get_connections())
    socket:destroy()
    raw.close(server)
  end)

  it("answers requests that come at once in their order", function()
    local server, port = raw.serve(function(req, res)
      if req.url == "/0" then
        mw.sleep(20)
      end
      res:finish(req.url)
    end)
    local requests = {}
    for index = 0, 9 do
      requests[#requests + 1] = ("GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"):format(index)
    end
    local socket = raw.connect(port)
    socket:write(table.concat(requests))
    local text = raw.read_until(socket, "/9")
    local order = {}
    for url in text:gmatch "\r\n\r\n/(%d)" do
      order[#order + 1] = url
    end
    assert.equal("0123456789", table.concat(order))
    socket:destroy()
    raw.close(server)
  end)

  it("answers a client that has sent all and ended its side", function()
    local server, port = raw.serve(function(_, res)
      mw.sleep(10)
      res:finish "late"
    end)
    local socket = raw.connect(port)
    socket:finish "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert.equal("late", raw.body_of(raw.read_until(socket)))
    raw.close(server)
  end)

  it("ends the connection after HTTP/1.0, unless it is to stay", function()
    local server, port = raw.serve(hello)
    assert.matches("\r\nConnection: close\r\n", (raw.send(port, "GET / HTTP/1.0\r\n\r\n")))
    local socket = raw.connect(port)
    for _ = 1, 2 do
      socket:write "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
      assert.matches("\r\nConnection: keep%-alive\r\n", (raw.read_until(socket, "hello")))
    end
    socket:destroy()
    raw.close(server)
  end)

  it("sends no body to HEAD, but its length", function()
    local server, port = raw.serve(hello)
    local response = raw.request(port, "HEAD /")
    assert.matches("\r\nContent%-Length: 5\r\n", response)
    assert.equal("", raw.body_of(response))
    raw.close(server)
  end)

  it("sends neither body nor length with 204", function()
    local server, port = raw.serve(function(_, res)
      res:write_head(204, { ["Content-Length"] = 3 })
      res:finish "abc"
    end)
    local response = raw.request(port)
    assert.is_nil(response:find "Content%-Length")
    assert.equal("", raw.body_of(response))
    raw.close(server)
  end)

  it("listens to a path, and to what net passes on", function()
    local path = os.tmpname()
    os.remove(path)
    local server = http.create_server(hello):listen(path)
    assert(server:wait "listening")
    assert.equal(path, server:address())
    local socket = net.connect(path)
    socket:write "GET / HTTP/1.0\r\n\r\n"
    assert.equal("hello", raw.body_of(raw.read_until(socket)))
    socket:destroy()
    raw.close(server)
    assert.is_nil(io.open(path))
  end)

  it("tells of a port that is taken", function()
    local server, port = raw.serve(hello)
    local other = http.create_server(hello):listen(port, "127.0.0.1")
    local _, err = other:wait "listening"
    assert.equal("EADDRINUSE", err.code)
    raw.close(server)
  end)

  it("takes a name for its handler, later or several times", function()
    local server, port = raw.serve()
    assert.matches("^HTTP/1%.1 404 ", (raw.request(port)))
    local called = 0
    server:on("request", function()
      called = called + 1
    end)
    server:on("request", hello)
    assert.equal("hello", raw.body_of(raw.request(port)))
    assert.equal(1, called)
    raw.close(server)
  end)

  it("can listen again after its end", function()
    local server = raw.serve(hello)
    raw.close(server)
    server:listen(0, "127.0.0.1")
    assert.equal("hello", raw.body_of(raw.request(server:address().port)))
    raw.close(server)
  end)

  it("does not keep the process with unref()", function()
    local server = http.create_server(hello)
    server:unref()
    server:listen(0, "127.0.0.1")
    assert.equal(server, server:ref())
    raw.close(server)
  end)

  it("closes through its emitter's wait only when all have ended", function()
    local server, port = raw.serve(hello)
    local socket = raw.connect(port)
    eventually(function()
      return server:get_connections() == 1
    end)
    local closed = false
    server:close(function()
      closed = true
    end)
    turns(20)
    assert.is_false(closed)
    socket:destroy()
    eventually(function()
      return closed
    end)
  end)

  it("refuses options that it does not know", function()
    assert.equal("create_server: unknown option 'max_hedders', did you mean 'max_headers'?", misuse(function()
      http.create_server { max_hedders = 1 }
    end))
    assert.matches("^create_server: bad option 'headers_timeout'", misuse(function()
      http.create_server { headers_timeout = -1 }
    end))
  end)
end)

describe("A response", function()
  it("has the status and headers that were set", function()
    local server, port = raw.serve(function(_, res)
      res.status_code = 404
      res:set_header("X-One", 1):set_header("x-one", "2"):append_header("X-One", "3")
      res:set_header("Set-Cookie", { "a", "b" })
      assert.same({ "2", "3" }, res:get_header "X-ONE")
      assert.equal("a", res:get_header("set-cookie")[1])
      res:set_header("X-Gone", "x"):remove_header "x-gone"
      assert.is_false(res:has_header "x-gone")
      assert.is_false(res.headers_sent)
      res:finish()
      assert.is_true(res.headers_sent)
    end)
    local response = raw.request(port)
    assert.matches("^HTTP/1%.1 404 Not Found\r\nx%-one: 2\r\nX%-One: 3\r\nSet%-Cookie: a\r\nSet%-Cookie: b\r\nDate", response)
    raw.close(server)
  end)

  it("has the phrase of write_head", function()
    local server, port = raw.serve(function(_, res)
      res:write_head(299, "Fine So Far", { ["X-A"] = "b" })
      assert.is_true(res.headers_sent)
      res:finish()
    end)
    assert.matches("^HTTP/1%.1 299 Fine So Far\r\nX%-A: b\r\n", (raw.request(port)))
    raw.close(server)
  end)

  it("raises where a header would split it", function()
    local messages = {}
    local server, port = raw.serve(function(_, res)
      for _, value in ipairs { "a\r\nb", "a\nb", "a\rb", "a\0b" } do
        local ok, message = pcall(res.set_header, res, "X-A", value)
        messages[#messages + 1] = tostring(ok) .. tostring(message):match "bad argument '%a+'"
      end
      local ok, message = pcall(res.set_header, res, "X A", "b")
      messages[#messages + 1] = tostring(ok) .. message:match "bad argument '%a+'"
      ok = pcall(res.write_head, res, 200, "OK\r\nX: y")
      messages[#messages + 1] = tostring(ok)
      res:finish()
    end)
    raw.request(port)
    local value = "falsebad argument 'value'"
    assert.same({ value, value, value, value, "falsebad argument 'name'", "false" }, messages)
    raw.close(server)
  end)

  it("raises where a status message would split it", function()
    local raised
    local server, port = raw.serve(function(_, res)
      res.status_message = "fine\r\nX-A: b"
      raised = not pcall(res.finish, res, "x")
      res.status_message = nil
      res:finish "y"
    end)
    local text = raw.request(port)
    assert.is_true(raised)
    assert.equal("y", raw.body_of(text))
    assert.is_nil(text:find "X-A")
    raw.close(server)
  end)

  it("has one length, however often it is set", function()
    local server, port = raw.serve(function(_, res)
      res:append_header("Content-Length", 5)
      res:append_header("content-length", 1)
      res:finish "x"
    end)
    local text = raw.request(port)
    assert.equal("x", raw.body_of(text))
    assert.equal(1, select(2, text:lower():gsub("content%-length", "")))
    raw.close(server)
  end)

  it("may be ended by the handler of another request", function()
    local waiting
    local server, port = raw.serve(function(req, res)
      if req.url == "/wait" then
        waiting = res
        res:wait "close"
      else
        waiting:finish "late"
        res:finish "now"
      end
    end)
    local socket = raw.connect(port)
    socket:write "GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    eventually(function()
      return waiting
    end)
    assert.equal("now", raw.body_of(raw.request(port)))
    assert.equal("late", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
  end)

  it("raises where a header comes after the head", function()
    local message
    local server, port = raw.serve(function(_, res)
      res:write "x"
      message = select(2, pcall(res.set_header, res, "X-A", "b"))
      res:finish()
    end)
    raw.request(port)
    assert.matches("ERR_HTTP_HEADERS_SENT", message)
    raw.close(server)
  end)

  it("can be a value as JSON", function()
    local server, port = raw.serve(function(_, res)
      res:json { a = 1 }
    end)
    local response = raw.request(port)
    assert.matches("\r\nContent%-Type: application/json; charset=utf%-8\r\n", response)
    assert.equal('{"a":1}', raw.body_of(response))
    raw.close(server)
  end)

  it("comes in chunks where its length is not known", function()
    local server, port = raw.serve(function(_, res)
      res:write "one"
      mw.sleep(1)
      res:write "three"
      res:finish "!"
    end)
    local response = raw.request(port)
    assert.matches("\r\nTransfer%-Encoding: chunked\r\n", response)
    assert.equal("3\r\none\r\n5\r\nthree\r\n1\r\n!\r\n0\r\n\r\n", raw.body_of(response))
    assert.equal("onethree!", raw.body_of(raw.send(port, "GET / HTTP/1.0\r\n\r\n")))
    raw.close(server)
  end)

  it("comes plain where the handler says its length", function()
    local server, port = raw.serve(function(_, res)
      res:set_header("Content-Length", 6)
      res:write "one"
      res:finish "two"
    end)
    assert.equal("onetwo", raw.body_of(raw.request(port)))
    raw.close(server)
  end)

  it("is cut where it is not as long as it was to be", function()
    local errors = {}
    local server, port = raw.serve(function(req, res)
      res:on("error", function(err)
        errors[#errors + 1] = err.code
      end)
      res:set_header("Content-Length", 4)
      res:write(req.url == "/short" and "abc" or "abcde")
      res:finish()
    end)
    assert.equal("abc", raw.body_of(raw.request(port, "GET /short")))
    assert.equal("", raw.body_of(raw.request(port, "GET /long")))
    assert.same({ "ERR_HTTP_CONTENT_LENGTH_MISMATCH", "ERR_HTTP_CONTENT_LENGTH_MISMATCH" }, errors)
    raw.close(server)
  end)

  it("tells of its end", function()
    local events = {}
    local server, port = raw.serve(function(_, res)
      for _, name in ipairs { "finish", "close" } do
        res:on(name, function()
          events[#events + 1] = name
        end)
      end
      res:finish("x", function()
        events[#events + 1] = "callback"
      end)
    end)
    assert.matches("\r\nContent%-Length: 1\r\n", (raw.request(port)))
    assert.same({ "callback", "finish", "close" }, events)
    raw.close(server)
  end)

  it("waits for a client that does not read", function()
    local written, has_drained = 0, false
    local server, port = raw.serve(function(_, res)
      local chunk = ("x"):rep(65536)
      while res:write(chunk) do
        written = written + 1
        assert(written < 1000)
      end
      assert(res:wait "drain")
      has_drained = true
      res:finish()
    end)
    local socket = raw.connect(port)
    socket:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    eventually(function()
      return written > 0 or server:get_connections() == 1
    end)
    local text = raw.read_until(socket)
    assert.is_true(has_drained)
    assert.is_true(#text > 65536)
    socket:destroy()
    raw.close(server)
  end)

  it("learns that the client went away", function()
    local closed = false
    local server, port = raw.serve(function(_, res)
      res:on("close", function()
        closed = true
      end)
      res:flush_headers()
    end)
    local socket = raw.connect(port)
    socket:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    raw.read_until(socket, "\r\n\r\n")
    socket:reset_and_destroy()
    eventually(function()
      return closed
    end)
    raw.close(server)
  end)
end)
