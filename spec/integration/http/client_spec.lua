local eventually = require "spec.support.eventually"
local http = require "mw.http"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local settled = require "spec.support.settled"
local sockets = require "spec.support.sockets"

local function url(port, path)
  return ("http://127.0.0.1:%d%s"):format(port, path or "/")
end

-- A server that answers each request by the next of some texts, as it is.
local function scripted(...)
  local answers, requests = { ... }, {}
  local server, port = sockets.listen(function(socket)
    socket:on("error", function() end)
    socket:on("data", function(bytes)
      requests[#requests + 1] = bytes
      local answer = table.remove(answers, 1)
      if answer then
        socket:write(answer)
      else
        socket:destroy()
      end
    end)
  end)
  return server, port, requests
end

local ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

describe("http.get", function()
  after_each(function()
    http.global_agent:destroy()
  end)

  it("waits for a response", function()
    local server, port = raw.serve(function(req, res)
      res:set_header("X-Url", req.url)
      res:finish "hello"
    end)
    local res = assert(http.get(url(port, "/a?b=c#d")))
    assert.equal(200, res.status_code)
    assert.equal("OK", res.status_message)
    assert.equal("1.1", res.http_version)
    assert.equal("/a?b=c", res.headers["x-url"])
    assert.equal("hello", res:body())
    assert.equal("hello", res:body())
    assert.is_true(res.complete)
    http.global_agent:destroy()
    raw.close(server)
  end)

  it("takes a callback", function()
    local server, port = raw.serve(function(_, res)
      res:json { 1 }
    end)
    local got
    local request = http.get({ port = port, host = "127.0.0.1" }, function(err, res)
      assert(err == nil)
      got = res
    end)
    assert.equal("GET", request.method)
    eventually(function()
      return got
    end)
    assert.same({ 1 }, got:json())
    http.global_agent:destroy()
    raw.close(server)
  end)

  it("returns an error where nobody listens", function()
    local server, port = raw.serve(function() end)
    raw.close(server)
    local res, err = http.get(url(port))
    assert.is_nil(res)
    assert.equal("ECONNREFUSED", err.code)
  end)

  it("uses a connection again", function()
    local ports = {}
    local server, port = raw.serve(function(req, res)
      ports[#ports + 1] = req.socket.remote_port
      res:finish "x"
    end)
    for _ = 1, 3 do
      assert(http.get(url(port))):body()
    end
    assert.equal(ports[1], ports[2])
    assert.equal(ports[1], ports[3])
    http.global_agent:destroy()
    raw.close(server)
  end)

  it("uses none again without an agent", function()
    local server, port, requests = scripted(ok)
    assert.equal("ok", http.get(url(port), { agent = false }):body())
    assert.matches("\r\nConnection: close\r\n", requests[1])
    sockets.close(server)
  end)

  it("tries again, once, where an idle connection has ended", function()
    local server, port, requests = scripted(ok, nil)
    assert(http.get(url(port))):body()
    local _, err = http.get(url(port))
    assert.equal("ECONNRESET", err.code)
    assert.equal(3, #requests)
    sockets.close(server)
  end)

  it("gets its answer from the second try", function()
    local count = 0
    local server, port = sockets.listen(function(socket)
      socket:on("data", function()
        count = count + 1
        if count == 2 then
          socket:destroy()
        else
          socket:write(ok)
        end
      end)
    end)
    assert(http.get(url(port))):body()
    assert.equal("ok", assert(http.get(url(port))):body())
    assert.equal(3, count)
    http.global_agent:destroy()
    sockets.close(server)
  end)

  it("reads each kind of body", function()
    for _, text in ipairs {
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    } do
      local server, port = scripted(text)
      assert.equal("abc", assert(http.get(url(port))):body())
      http.global_agent:destroy()
      sockets.close(server)
    end
    local server, port = sockets.listen(function(socket)
      socket:finish "HTTP/1.0 200 OK\r\n\r\nabc"
      socket:resume()
    end)
    assert.equal("abc", assert(http.get(url(port))):body())
    sockets.close(server)
  end)

  it("refuses what is no response", function()
    for _, text in ipairs {
      "nonsense\r\n\r\n",
      "H\r\nC/1.1 200 \r\nA: b\r\n\r\n",
      "HTTP/1.1 20\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
      "HTTP/1.1 200 OK\nA: b\n\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nA: " .. ("b"):rep(100000),
    } do
      local server, port = scripted(text)
      local res, err = http.get(url(port))
      assert.is_nil(res)
      assert.equal("ERR_HTTP_INVALID_RESPONSE", err.code)
      sockets.close(server)
    end
  end)

  it("returns an error with a body that ends early", function()
    local server, port = sockets.listen(function(socket)
      socket:finish "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"
      socket:resume()
    end)
    local res = assert(http.get(url(port)))
    local text, err = res:body()
    assert.is_nil(text)
    assert.equal("ECONNRESET", err.code)
    sockets.close(server)
  end)

  it("ends after its time", function()
    local server, port = scripted ""
    local res, err = http.get(url(port), { timeout = 20 })
    assert.is_nil(res)
    assert.equal("ETIMEDOUT", err.code)
    sockets.close(server)
  end)

  it("ends by an abort", function()
    local server, port = scripted ""
    local controller = mw.abort_controller()
    mw.timers.set_timeout(function()
      controller:abort "enough"
    end, 5)
    local _, err = http.get(url(port), { signal = controller.signal })
    assert.equal("ABORT_ERR", err.code)
    assert.equal("enough", err.cause)
    sockets.close(server)
  end)

  it("goes through a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local server = http.create_server(function(_, res)
      res:finish "unix"
    end):listen(path)
    assert(server:wait "listening")
    assert.equal("unix", http.get({ socket_path = path }):body())
    http.global_agent:destroy()
    raw.close(server)
  end)

  it("raises where the address is none", function()
    assert.matches("^get: bad argument 'url'", misuse(function()
      http.get "https://example.org/"
    end))
    assert.matches("^get: bad argument 'url'", misuse(function()
      http.get "http://x/a b"
    end))
    assert.matches("^get: unknown option 'prot'", misuse(function()
      http.get { prot = 1 }
    end))
    assert.matches("^request: bad argument 'value'", misuse(function()
      http.request { headers = { A = "b\r\nc" } }
    end))
  end)
end)

describe("http.request", function()
  after_each(function()
    http.global_agent:destroy()
  end)

  it("sends a body, whole or in pieces", function()
    local server, port = raw.serve(function(req, res)
      res:finish(("%s %s %s"):format(req.headers["content-length"] or "-", req.headers["transfer-encoding"] or "-",
        req:body()))
    end)
    for _, case in ipairs { { { "abc" }, "3 - abc" }, { { "ab", "c" }, "- chunked abc" }, { {}, "0 - " } } do
      local request = http.request { method = "post", port = port, host = "127.0.0.1" }
      for index = 1, #case[1] - 1 do
        request:write(case[1][index])
      end
      request:finish(case[1][#case[1]])
      assert.equal(case[2], request:wait("response"):body())
    end
    http.global_agent:destroy()
    raw.close(server)
  end)

  it("gives its answer to a callback", function()
    local server, port, requests = scripted(ok)
    local answer
    local request = http.request(url(port, "/x"), { headers = { ["X-A"] = { "b", "c" } }, auth = "user:word" }, function(err, res)
      answer = { err, res }
    end)
    request:set_header("X-D", 5)
    request:finish()
    eventually(function()
      return answer
    end)
    assert.equal("ok", answer[2]:body())
    assert.matches("^GET /x HTTP/1.1\r\n", requests[1])
    assert.matches("X%-A: b\r\nX%-A: c\r\n", requests[1])
    assert.matches("X-D: 5\r\n", requests[1], 1, true)
    assert.matches("Authorization: Basic dXNlcjp3b3Jk\r\n", requests[1], 1, true)
    http.global_agent:destroy()
    sockets.close(server)
  end)

  it("emits an error that no callback takes", function()
    local server, port = raw.serve(function() end)
    raw.close(server)
    local request = http.request { port = port, host = "127.0.0.1" }
    request:finish()
    local _, err = request:wait "response"
    assert.equal("ECONNREFUSED", err.code)
  end)

  it("does not send twice what may not be", function()
    local server, port, requests = scripted(ok, nil)
    assert(http.get(url(port))):body()
    local request = http.request(url(port), { method = "POST" })
    request:finish "x"
    local _, err = request:wait "response"
    assert.equal("ECONNRESET", err.code)
    assert.equal(2, #requests)
    sockets.close(server)
  end)

  it("holds the server back while nobody reads", function()
    local taken = 0
    local server, port = raw.serve(function(_, res)
      local chunk = ("x"):rep(65536)
      for _ = 1, 512 do
        taken = taken + 1
        if not res:write(chunk) then
          res:wait "drain"
        end
      end
      res:finish()
    end)
    local res = assert(http.get(url(port)))
    assert.is_true(settled(function()
      return taken
    end) < 512)
    assert.equal(512 * 65536, #res:body())
    http.global_agent:destroy()
    raw.close(server)
  end)

  it("can turn into another protocol", function()
    local server, port = raw.serve(function() end)
    server:on("upgrade", function(_, socket)
      socket:finish "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello"
    end)
    local request = http.request(url(port), { headers = { Connection = "Upgrade", Upgrade = "x" } })
    request:finish()
    local res, socket, head = request:wait "upgrade"
    assert.equal(101, res.status_code)
    assert.equal("hello", head .. (#head < 5 and socket:read() or ""))
    socket:destroy()
    raw.close(server)
  end)
end)

describe("An agent", function()
  it("has no more connections than it may", function()
    local most, now = 0, 0
    local server, port = raw.serve(function(_, res)
      now = now + 1
      most = math.max(most, now)
      mw.sleep(2)
      now = now - 1
      res:finish "x"
    end)
    local agent = http.Agent.new { max_sockets = 2 }
    local tasks = {}
    for index = 1, 10 do
      tasks[index] = mw.go(function()
        return http.get(url(port), { agent = agent }):body()
      end)
    end
    for _, one in ipairs(tasks) do
      assert.equal("x", one:join())
    end
    assert.equal(2, most)
    agent:destroy()
    raw.close(server)
  end)

  it("ends a connection that nobody uses", function()
    local server, port = raw.serve(function(_, res)
      res:finish "x"
    end)
    local agent = http.Agent.new { keep_alive_timeout = 10 }
    http.get(url(port), { agent = agent }):body()
    eventually(function()
      return server:get_connections() == 0
    end)
    raw.close(server)
  end)
end)
