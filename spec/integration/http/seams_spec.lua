-- What the cluster and others need of HTTP servers.

local eventually = require "spec.support.eventually"
local http = require "mw.http"
local net = require "mw.net"
local raw = require "spec.support.raw_http"
local run_mwrun = require "spec.support.run_mwrun"
local uv = require "luv"

local function hello(_, res)
  res:finish "hello"
end

describe("An HTTP server", function()
  after_each(function()
    net.set_listen_provider(nil)
  end)

  it("listens by what the provider gives", function()
    local asked
    net.set_listen_provider(function(server, what, done)
      asked = { server = server, port = what.port }
      done(nil, assert(net._bind_listener(what)))
    end)
    local server, port = raw.serve(hello)
    assert.equal(server, asked.server)
    assert.equal("hello", raw.body_of(raw.request(port)))
    raw.close(server)
  end)

  it("serves what another process's handle brings", function()
    local taker, is_closed
    net.set_listen_provider(function(_, _, done)
      done(nil, {
        serve = function(_, server)
          taker = server
          return true
        end,
        getsockname = function()
          return { ip = "127.0.0.1", family = "inet", port = 80 }
        end,
        is_closing = function()
          return is_closed
        end,
        close = function()
          is_closed = true
        end,
      })
    end)
    local server = http.create_server(hello)
    server:listen(80)
    server:wait "listening"
    assert.equal(80, server:address().port)
    local pair = uv.socketpair("stream", nil, { nonblock = true }, { nonblock = true })
    assert.is_true(taker:take(pair[1]))
    local socket = net.Socket.new { fd = pair[2] }
    socket:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert.equal("hello", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
    assert.is_true(is_closed)
  end)

  it("takes a connection that is a descriptor", function()
    local server = http.create_server(hello)
    local pair = uv.socketpair("stream", nil, {}, {})
    assert.is_true(server:_take_descriptor(pair[1]))
    assert.equal(1, server:get_connections())
    local socket = net.Socket.new { fd = pair[2] }
    socket:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert.equal("hello", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    eventually(function()
      return server:get_connections() == 0
    end)
    raw.close(server)
  end)

  it("takes a connection off which a part was read already", function()
    local server = http.create_server(hello)
    local pair = uv.socketpair("stream", nil, {}, {})
    assert.is_true(server:_take_descriptor(pair[1], "GET / HTTP/1.1\r\nHo"))
    local socket = net.Socket.new { fd = pair[2] }
    socket:write "st: x\r\nConnection: close\r\n\r\n"
    assert.equal("hello", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
  end)

  it("takes a socket of another server, with what that has read", function()
    local server = http.create_server(hello)
    local first = net.create_server(function(socket)
      local piece = socket:read()
      socket:pause()
      assert.is_true(server:_take(socket._handle, piece))
    end)
    first:listen(0, "127.0.0.1"):wait "listening"
    assert.equal("hello", raw.body_of(raw.request(first:address().port)))
    first:close()
    raw.close(server)
  end)

  it("takes no connection once it has closed, until it listens again", function()
    local server = raw.serve(hello)
    raw.close(server)
    local pair = uv.socketpair("stream", nil, {}, {})
    assert.is_false(server:_take_descriptor(pair[1]))
    local socket = net.Socket.new { fd = pair[2] }
    assert.equal("", (raw.read_until(socket)))
    socket:destroy()
    server:listen(0, "127.0.0.1"):wait "listening"
    assert.equal("hello", raw.body_of(raw.request(server:address().port)))
    raw.close(server)
  end)

  it("answers a connection that was taken although nothing listens", function()
    local result = run_mwrun {
      "-e",
      [[
        local http, uv = require "mw.http", require "luv"
        local pair = uv.socketpair("stream", nil, { nonblock = true }, { nonblock = true })
        local server = http.create_server(function(_, res) res:finish "hello" end)
        server:unref()
        local client = uv.new_pipe()
        client:open(pair[2])
        client:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        client:read_start(function(_, piece)
          io.write(piece or "")
          if not piece then client:close() end
        end)
        client:unref()
        server:_take_descriptor(pair[1])
      ]],
    }
    assert.equal("", result.stderr)
    assert.matches("^HTTP/1%.1 200 OK\r\n", result.stdout)
  end)

  it("goes on once there are descriptors again", function()
    local result = run_mwrun {
      "-e",
      [[
        local mw, http, net = require "mw", require "mw.http", require "mw.net"
        local drops = 0
        local server = http.create_server(function(_, res) res:finish "hello" end)
        server:on("drop", function(what) drops = drops + 1 assert(what.error.code == "EMFILE") end)
        server:listen(0, "127.0.0.1")
        -- It has its descriptor at once, and is connected by the kernel alone.
        local uv, text = require "luv", ""
        local client = uv.new_tcp()
        client:connect("127.0.0.1", server:address().port, function() end)
        local held = {}
        local file
        repeat
          file = io.open "/dev/null"
          held[#held + 1] = file
        until not file
        mw.sleep(50)
        assert(drops > 0, "no drop")
        for _, each in ipairs(held) do each:close() end
        client:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        client:read_start(function(_, piece)
          text = text .. (piece or "")
          if not piece then client:close() end
        end)
        while not client:is_closing() do mw.sleep(5) end
        io.write(text:match "hello$")
        server:close()
      ]],
    }
    assert.equal("", result.stderr)
    assert.equal("hello", result.stdout)
  end)

  it("tells by an event that there are too few descriptors to listen", function()
    local result = run_mwrun({
      "-e",
      [[
        local http = require "mw.http"
        http.create_server(function() end):listen(0, "127.0.0.1"):close():wait "close"
        local held, file = {}
        repeat
          file = io.open "/dev/null"
          held[#held + 1] = file
        until not file
        for spare = 0, 5 do
          if spare > 0 then table.remove(held):close() end
          local server = http.create_server(function() end):listen(0, "127.0.0.1")
          local ok, err = server:wait "listening"
          io.write(ok and "listening" or err.code, " ")
          server:close()
          server:wait "close"
        end
      ]],
    }, { limits = { nofile = 40 } })
    assert.equal("", result.stderr)
    assert.matches("^EMFILE EMFILE EMFILE listening listening ", result.stdout)
  end)

  it("ends with the process, whatever it does", function()
    local result = run_mwrun {
      "-e",
      [[
        local mw, http, net = require "mw", require "mw.http", require "mw.net"
        local server = http.create_server(function(req, res)
          if req.url == "/exit" then os.exit(3) end
          res:write "x"
          res:wait "never"
        end)
        server:listen(0, "127.0.0.1")
        for _, path in ipairs { "/wait", "/body", "/exit" } do
          local socket = net.connect(server:address().port, "127.0.0.1")
          socket:wait "connect"
          socket:write("POST " .. path .. " HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab")
          mw.sleep(5)
        end
        mw.sleep(1000)
      ]],
    }
    assert.equal("", result.stderr)
    assert.equal(3, result.status)
  end)

end)

describe("mw.core.http", function()
  it("keeps its servers where it is opened again", function()
    local server, port = raw.serve(hello)
    local socket = raw.connect(port)
    package.loaded["mw.core.http"] = nil
    require "mw.core.http"
    collectgarbage()
    collectgarbage()
    socket:write "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert.equal("hello", raw.body_of((raw.read_until(socket))))
    socket:destroy()
    raw.close(server)
  end)

  it("cuts the connection of a request whose callback raises, and leaves nothing of it to reach", function()
    local result = run_mwrun {
      "-e",
      [[
        local core, mw, uv = require "mw.core.http", require "mw", require "luv"
        local kept
        local function ignore() end
        local server = assert(core.open({ max_header_size = 1000, max_headers = 10, max_body = 10, max_connections = 0,
          headers_timeout = 0, request_timeout = 0, send_timeout = 0, keep_alive_timeout = 0, drain_timeout = 0 }, {
          on_request = function(exchange)
            kept = exchange
            error "raised"
          end,
          on_upgrade = ignore, on_data = ignore, on_drain = ignore, on_over = ignore, on_refused = ignore,
          on_empty = ignore }))
        mw.process.on("uncaught_exception", function(err) io.write(err:match "raised", " ") end)
        local pair = uv.socketpair("stream", nil, { nonblock = true }, { nonblock = true })
        server:take(pair[1])
        local client = uv.new_pipe()
        client:open(pair[2])
        client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        client:read_start(function(_, piece)
          io.write(piece or "ended ")
          client:close()
        end)
        while not client:is_closing() do mw.sleep(1) end
        collectgarbage()
        io.write(select(2, kept:respond(200)), " ", server:count())
        server:close()
      ]],
    }
    assert.equal("", result.stderr)
    assert.equal("raised ended EPIPE 0", result.stdout)
  end)
end)
