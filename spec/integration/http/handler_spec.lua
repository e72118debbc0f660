-- Handlers that fail: the request gets an answer, and the server lives.

local http = require "mw.http"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local run_mwrun = require "spec.support.run_mwrun"

-- Runs a server of this handler in a process of its own, sends it requests, and
-- returns what came and what the process wrote on stderr.
local function run(handler, ...)
  local code = ([[
    local mw, raw = require "mw", require "spec.support.raw_http"
    local server, port = raw.serve(%s)
    for index = 1, #arg do
      io.write((raw.request(port, arg[index])), "\n--\n")
    end
    raw.close(server)
  ]]):format(handler)
  local file = os.tmpname()
  local stream <close> = assert(io.open(file, "w"))
  stream:write(code)
  stream:close()
  local env = { LUA_PATH = "./?.lua;;", MWRUN_LUA_DIR = mw.process.env.MWRUN_LUA_DIR }
  local result = run_mwrun({ file, ... }, { env = env })
  os.remove(file)
  return result
end

describe("A handler", function()
  it("that raises gets 500 and a traceback on stderr", function()
    local result = run([[function(req, res)
      local function inner() error "oh no" end
      if req.url == "/bad" then inner() end
      res:finish "fine"
    end]], "GET /bad", "GET /")
    assert.matches("^HTTP/1%.1 500 Internal Server Error\r\n", result.stdout)
    assert.matches("HTTP/1%.1 200 OK.*fine", result.stdout)
    assert.matches("oh no", result.stderr)
    assert.matches("stack traceback:", result.stderr)
    assert.matches("in local 'inner'", result.stderr)
    assert.equal(0, result.status)
  end)

  it("that raises after a wait gets the same", function()
    local result = run([[function() mw.sleep(1) error { code = "own" } end]], "GET /")
    assert.matches("^HTTP/1%.1 500 ", result.stdout)
    assert.matches("stack traceback:", result.stderr)
  end)

  it("that ends without an answer gets 500", function()
    local result = run([[function() end]], "GET /nothing")
    assert.matches("^HTTP/1%.1 500 ", result.stdout)
    assert.matches("the handler of GET /nothing has ended without an answer", result.stderr, 1, true)
  end)

  it("that fails when its head is out is cut", function()
    local result = run([[function(_, res) res:write "abc" error "late" end]], "GET /")
    assert.matches("^HTTP/1%.1 200 OK", result.stdout)
    assert.matches("\r\n\r\n3\r\nabc\r\n\n%-%-", result.stdout)
    assert.matches("late", result.stderr)
  end)

  it("that yields by itself gets 500", function()
    local result = run([[function() coroutine.yield() end]], "GET /", "GET /")
    assert.matches("^HTTP/1%.1 500 .*HTTP/1%.1 500 ", result.stdout)
    assert.matches("not by coroutine.yield", result.stderr, 1, true)
  end)

  it("that never answers harms no other", function()
    local server, port = raw.serve(function(req, res)
      if req.url == "/never" then
        res:wait "never"
      end
      res:finish "x"
    end)
    local socket = raw.connect(port)
    socket:write "GET /never HTTP/1.1\r\nHost: x\r\n\r\n"
    for _ = 1, 3 do
      assert.equal("x", raw.body_of(raw.request(port)))
    end
    socket:destroy()
    raw.close(server)
  end)

  it("may wait many at a time", function()
    local server, port = raw.serve(function(req, res)
      mw.sleep(20)
      res:finish(req.url)
    end)
    local sockets = {}
    for index = 1, 300 do
      sockets[index] = raw.connect(port)
      sockets[index]:write(("GET /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):format(index))
    end
    for index, socket in ipairs(sockets) do
      assert.equal("/" .. index, raw.body_of((raw.read_until(socket))))
      socket:destroy()
    end
    raw.close(server)
  end)

  it("may answer through another's hands, once its head is fixed", function()
    local server, port = raw.serve(function(_, res)
      res:write_head(200, { ["Content-Type"] = "text/event-stream" })
      mw.timers.set_timeout(function()
        res:finish "data: x\n\n"
      end, 5)
    end)
    assert.equal("9\r\ndata: x\n\n\r\n0\r\n\r\n", raw.body_of(raw.request(port)))
    raw.close(server)
  end)

  it("is a server's request listener", function()
    assert.equal(http.Server, getmetatable(http.create_server()))
  end)
end)
