-- Servers that two processes share.

local core = require "mw.core.socket"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local mw = require "mw"
local net = require "mw.net"
local scratch = require "spec.support.scratch"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"
local uv = require "luv"

local in_both = transfers.in_both

-- Serves the server that it gets, and answers each client by its name.
local serve = [[
  process.on("message", function(message, server)
    if message == "close" then
      return _G.server:close()
    end
    _G.server = server
    server:on("connection", function(socket)
      socket:finish "child"
      socket:resume()
    end)
    process.send "serving"
  end)
  process.on("disconnect", function()
    if _G.server then _G.server:close() end
  end)
]]

local function answer_as_parent(socket)
  socket:finish "parent"
  socket:resume()
end

-- What a new client is answered.
local function ask(...)
  local client = net.connect(...)
  local answer, err = client:read()
  sockets.close(client)
  return answer, err
end

-- Asks until each of them has answered; both wait for the same connections.
local function ask_until(place, wanted)
  local seen = {}
  eventually(function()
    local answer = ask(place)
    assert.is_string(answer)
    seen[answer] = true
    for _, name in ipairs(wanted) do
      if not seen[name] then
        return false
      end
    end
    return true
  end)
end

describe("A server that is sent", function()
  after_each(forks.clean)

  -- HANDLE-01
  in_both("is shared: both accept, and each client is answered once", function(opts)
    local child, arrivals = transfers.start(serve, opts)
    local accepted = 0
    local server, port = sockets.listen(function(socket)
      accepted = accepted + 1
      answer_as_parent(socket)
    end)
    assert.is_true(child:send("server", server))
    assert.is_true(server.listening)
    transfers.arrived(arrivals)
    ask_until(port, { "parent", "child" })
    local before, by_parent, by_child = accepted, 0, 0
    local clients = {}
    for index = 1, 60 do
      clients[index] = net.connect(port)
    end
    for _, client in ipairs(clients) do
      local answer = transfers.read_all(client)
      by_parent = by_parent + (answer == "parent" and 1 or 0)
      by_child = by_child + (answer == "child" and 1 or 0)
    end
    assert.equal(60, by_parent + by_child)
    assert.equal(by_parent, accepted - before)
    sockets.close(server, table.unpack(clients))
    transfers.end_of(child)
  end)

  -- HANDLE-01
  in_both("goes on in the child when the parent has closed its own in the next statement", function(opts)
    local child, arrivals = transfers.start(serve, opts)
    local server, port = sockets.listen(answer_as_parent)
    child:send("server", server)
    server:close()
    assert(server:wait("close", 5000))
    transfers.arrived(arrivals)
    for _ = 1, 5 do
      assert.equal("child", ask(port))
    end
    transfers.end_of(child)
    local _, err = ask(port)
    assert.equal("ECONNREFUSED", err.code)
  end)

  -- HANDLE-01
  in_both("goes on in the parent when the child has closed its own", function(opts)
    local child, arrivals = transfers.start(serve, opts)
    local server, port = sockets.listen(answer_as_parent)
    child:send("server", server)
    transfers.arrived(arrivals)
    transfers.end_of(child)
    for _ = 1, 5 do
      assert.equal("parent", ask(port))
    end
    sockets.close(server)
  end)

  -- HANDLE-01: connections wait for a listener that comes with a delay.
  in_both("accepts nothing before its listeners are there", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(_, server)
        process.send { listening = server.listening, port = server:address().port }
        server:on("connection", function(socket)
          socket:finish "child"
          socket:resume()
          server:close()
          process.disconnect()
        end)
      end)
    ]],
      opts
    )
    local fd = assert(core.bind("tcp", "127.0.0.1", 0, {}))
    assert(core.listen(fd, 5))
    local handle = net._open_handle(fd)
    local port = handle:getsockname().port
    local client = net.connect(port, "127.0.0.1")
    assert(client:wait "connect")
    local server = net.Server.adopt(handle)
    child:send("server", server)
    server:close()
    assert.same({ listening = true, port = port }, (transfers.arrived(arrivals)))
    assert.equal("child", transfers.read_all(client))
    assert.equal(0, forks.finish(child).code)
    sockets.close(client)
  end)

  -- HANDLE-01, the other way
  in_both("may come from the child, which may end", function(opts)
    local child, arrivals = transfers.start(
      [[
      local server = mw.net.create_server()
      server:listen(0, "127.0.0.1", function()
        process.send({ port = server:address().port }, server)
        server:close()
      end)
    ]],
      opts
    )
    local message, server = transfers.arrived(arrivals)
    assert.equal(0, forks.finish(child).code)
    assert.equal(message.port, server:address().port)
    server:on("connection", answer_as_parent)
    assert.equal("parent", ask(message.port))
    sockets.close(server)
  end)

  -- HANDLE-14
  in_both("may listen on a Unix path, which stays where the sender closes", function(opts)
    local folder = scratch.new()
    local path = folder.path .. "/server"
    local child, arrivals = transfers.start(serve, opts)
    local server = sockets.listen(answer_as_parent, {}, { path = path })
    child:send("server", server)
    transfers.arrived(arrivals)
    ask_until(path, { "parent", "child" })
    server:close()
    assert(server:wait("close", 5000))
    assert.equal("child", ask(path))
    transfers.end_of(child)
    folder:remove()
  end)

  -- FD-05
  in_both("on a Unix path keeps it when the receiver closes", function(opts)
    local folder = scratch.new()
    local path = folder.path .. "/server"
    local child, arrivals = transfers.start(serve, opts)
    local server = sockets.listen(answer_as_parent, {}, { path = path })
    child:send("server", server)
    transfers.arrived(arrivals)
    transfers.end_of(child)
    assert.equal("parent", ask(path))
    sockets.close(server)
    folder:remove()
  end)

  it("on a Unix path leaves it until the process that made it exits", function()
    local folder = scratch.new()
    local path = folder.path .. "/server"
    local child, arrivals = transfers.start(([[
      local server = mw.net.create_server()
      server:listen(%q, function()
        process.send("server", server)
        server:close()
      end)
      process.on("message", function() os.exit(3) end)
    ]]):format(path))
    local _, server = transfers.arrived(arrivals)
    assert.is_not_nil(uv.fs_stat(path))
    child:send "exit"
    assert.equal(3, forks.finish(child).code)
    assert.is_nil(uv.fs_stat(path))
    sockets.close(server)
    folder:remove()
  end)

  it("that is closed, or does not listen yet, arrives as nil", function()
    local child, arrivals = transfers.start [[
      process.on("message", function(message, handle) process.send { message, handle == nil } end)
    ]]
    local closed = sockets.listen()
    sockets.close(closed)
    child:send("closed", closed)
    child:send("new", net.create_server())
    transfers.arrived(arrivals, 2)
    assert.same({ "closed", true }, arrivals[1][1])
    assert.same({ "new", true }, arrivals[2][1])
    transfers.end_of(child)
  end)

  -- FD-01
  it("may be lent by stdio as well, whoever closes first", function()
    local path = forks.write(
      "lent.lua",
      [[
      local server = mw.net.create_server(function(socket) socket:finish "child" socket:resume() end)
      server:listen({ fd = 3 })
      process.on("message", function() server:close() process.disconnect() end)
    ]]
    )
    local server, port = sockets.listen(answer_as_parent)
    local child = mw.child_process.fork(path, {}, { stdio = { "ignore", "inherit", "inherit", server, "ipc" } })
    child:wait "spawn"
    sockets.close(server)
    assert.equal("child", ask(port))
    child:send "end"
    child:wait "close"
  end)
end)
