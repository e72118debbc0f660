-- Connections that go from one process to another.

local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local mw = require "mw"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"

local in_both = transfers.in_both

-- Answers on the sockets that it gets, to all that comes on them.
local answer = [[
  process.on("message", function(message, socket)
    process.send { text = message, type = tostring(socket):match "^[%w.]+" }
    if socket then
      socket:write "hello "
      socket:on("data", function(data) socket:write(data:upper()) end)
      socket:on("end", function() socket:finish(" bye") end)
    end
  end)
]]

-- Talks to the process that has the other end now, to the end.
local function converse(socket)
  socket:finish "question"
  return transfers.read_all(socket)
end

describe("A socket that is sent", function()
  after_each(forks.clean)

  -- HANDLE-02
  in_both("is read and written by the child", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    assert.is_true(child:send("socket", accepted))
    assert.same({ text = "socket", type = "mw.net.socket" }, (transfers.arrived(arrivals)))
    assert.equal("hello QUESTION bye", converse(client))
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  -- HANDLE-02
  in_both("may be the client's end", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    child:send("socket", client)
    transfers.arrived(arrivals)
    assert.equal("hello QUESTION bye", converse(accepted))
    sockets.close(accepted, server)
    transfers.end_of(child)
  end)

  -- HANDLE-02
  in_both("may be of a Unix server", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server, remove = transfers.unix_pair()
    child:send("socket", accepted)
    assert.same({ text = "socket", type = "mw.net.socket" }, (transfers.arrived(arrivals)))
    assert.equal("hello QUESTION bye", converse(client))
    sockets.close(client, server)
    remove()
    transfers.end_of(child)
  end)

  -- HANDLE-02
  in_both("goes from the child to the parent", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(port)
        local server
        server = mw.net.create_server(function(socket)
          process.send("accepted", socket)
          server:close()
        end)
        server:listen(0, "127.0.0.1", function() process.send(server:address().port) end)
        local client = mw.net.connect(port, "127.0.0.1", function() end)
        client:on("connect", function() process.send("connected", client) end)
      end)
    ]],
      opts
    )
    local theirs
    local server, port = sockets.listen(function(socket)
      theirs = socket
    end)
    child:send(port)
    transfers.arrived(arrivals, 2)
    local by_message = {}
    for _, arrival in ipairs(arrivals) do
      by_message[type(arrival[1]) == "number" and "port" or arrival[1]] = arrival
    end
    local client = mw.net.connect(by_message.port[1], "127.0.0.1")
    transfers.arrived(arrivals, 3)
    by_message[arrivals[3][1]] = arrivals[3]
    local accepted, connected = by_message.accepted[2], by_message.connected[2]
    accepted:finish "to the client"
    assert.equal("to the client", transfers.read_all(client))
    eventually(function()
      return theirs
    end)
    connected:finish "from the child's client"
    assert.equal("from the child's client", transfers.read_all(theirs))
    sockets.close(client, accepted, connected, theirs, server)
    transfers.end_of(child)
  end)

  -- HANDLE-03
  in_both("is closed here, and its connection goes on", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    local events = sockets.record(accepted, "data", "end", "close", "error")
    child:send("socket", accepted)
    assert.is_true(accepted.destroyed)
    client:write "x"
    transfers.arrived(arrivals)
    assert.equal("close", sockets.names(events))
    assert.equal("hello ", client:read(6))
    assert.equal("X", client:read())
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  -- HANDLE-03
  in_both("stays ours too with keep_open", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        socket:write "child"
        socket:destroy()
        process.send "written"
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    local err = "not called"
    child:send("socket", accepted, { keep_open = true }, function(value)
      err = value
    end)
    transfers.arrived(arrivals)
    eventually(function()
      return err ~= "not called"
    end)
    assert.is_nil(err)
    assert.equal("child", client:read())
    assert.is_nil(accepted.destroyed)
    accepted:write "parent"
    assert.equal("parent", client:read())
    client:write "back"
    assert.equal("back", accepted:read())
    sockets.close(client, accepted, server)
    transfers.end_of(child)
  end)

  -- HANDLE-03
  in_both("by the dozen: of 80 none is lost", function(opts)
    local child = forks.start(answer, opts)
    local called = 0
    local server, port = sockets.listen(function(socket)
      child:send("socket", socket, function(err)
        assert(err == nil)
        called = called + 1
      end)
    end)
    local clients, done = {}, 0
    for index = 1, 80 do
      local client = mw.net.connect(port, "127.0.0.1")
      clients[index] = client
      mw.go(function()
        client:finish(("%d"):format(index))
        assert.equal(("hello %d bye"):format(index), transfers.read_all(client))
        done = done + 1
      end)
    end
    eventually(function()
      return done == 80 and called == 80
    end)
    sockets.close(server, table.unpack(clients))
    transfers.end_of(child)
  end)

  -- HANDLE-03: 80 that come back
  in_both("by the dozen comes back from the child", function(opts)
    local child = forks.start("process.on('message', function(m, socket) process.send(m, socket) end)", opts)
    local server, port = sockets.listen(function(socket)
      child:send("there", socket)
    end)
    local returned = {}
    child:on("message", function(_, socket)
      returned[#returned + 1] = socket
      socket:finish "hello"
    end)
    local clients = {}
    for index = 1, 80 do
      clients[index] = mw.net.connect(port, "127.0.0.1")
    end
    for _, client in ipairs(clients) do
      assert.equal("hello", transfers.read_all(client))
    end
    assert.equal(80, #returned)
    for _, socket in ipairs(returned) do
      clients[#clients + 1] = socket
    end
    sockets.close(server, table.unpack(clients))
    transfers.end_of(child)
  end)

  -- HANDLE-07
  in_both("twice arrives as nil the second time", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    local called = 0
    local function count(err)
      assert(err == nil)
      called = called + 1
    end
    child:send("first", accepted, count)
    child:send("second", accepted, count)
    transfers.arrived(arrivals, 2)
    assert.same({ text = "first", type = "mw.net.socket" }, arrivals[1][1])
    assert.same({ text = "second", type = "nil" }, arrivals[2][1])
    eventually(function()
      return called == 2
    end)
    assert.equal("hello QUESTION bye", converse(client))
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  -- HANDLE-10
  in_both("that is closed arrives as nil", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    sockets.close(accepted)
    child:send("closed", accepted)
    child:send("never connected", mw.net.Socket.new())
    transfers.arrived(arrivals, 2)
    assert.same({ text = "closed", type = "nil" }, arrivals[1][1])
    assert.same({ text = "never connected", type = "nil" }, arrivals[2][1])
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  -- HANDLE-10: the client is gone, its end is there for the receiver.
  in_both("whose peer has gone arrives with the end", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        mw.go(function() process.send { data = socket:read(), ended = socket:read() == nil } end)
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    client:finish "last words"
    sockets.close(client)
    child:send("socket", accepted)
    assert.same({ data = "last words", ended = true }, (transfers.arrived(arrivals)))
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- HANDLE-16
  in_both("has no timer here any more", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    local timeouts = 0
    accepted:set_timeout(30, function()
      timeouts = timeouts + 1
      accepted:destroy()
    end)
    child:send("socket", accepted)
    transfers.arrived(arrivals)
    mw.sleep(90)
    assert.equal(0, timeouts)
    assert.equal("hello QUESTION bye", converse(client))
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  -- HANDLE-16
  in_both("ends for the client when the child is killed", function(opts)
    local child, arrivals = transfers.start(answer, opts)
    local client, accepted, server = sockets.pair()
    local events = sockets.record(client, "end", "close", "error")
    child:send("socket", accepted)
    transfers.arrived(arrivals)
    client:resume()
    transfers.kill(child)
    eventually(function()
      return client.closed
    end)
    assert.truthy(events[1][1] == "end" or events[1][2].code == "ECONNRESET")
    sockets.close(server)
  end)

  -- "A received socket reads nothing before a data listener, read or resume."
  in_both("reads nothing before somebody wants it", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        if socket then
          _G.socket = socket
          return process.send "waiting"
        end
        _G.socket:once("data", function(data)
          process.send(data)
          _G.socket:destroy()
        end)
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    child:send("socket", accepted)
    transfers.arrived(arrivals)
    client:write "early"
    child:send "listen"
    assert.equal("early", (transfers.arrived(arrivals, 2)))
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  in_both("keeps allow_half_open", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        process.send { socket.allow_half_open }
        socket:on("end", function() socket:finish "after your end" end)
        socket:resume()
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair { allow_half_open = true }
    child:send("socket", accepted)
    assert.same({ true }, (transfers.arrived(arrivals)))
    client:finish()
    assert.equal("after your end", transfers.read_all(client))
    sockets.close(client, server)
    transfers.end_of(child)
  end)
end)
