-- HANDLE-13: a server goes on counting the connections that it handed over.

local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local mw = require "mw"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"

local in_both = transfers.in_both

-- Keeps the sockets that it gets; closes the first of them on "one", on "all"
-- each of them.
local keep = [[
  local kept = {}
  process.on("message", function(message, socket)
    if socket then
      kept[#kept + 1] = socket
      socket:resume()
      return process.send "kept"
    end
    for _ = 1, message == "one" and 1 or #kept do
      table.remove(kept, 1):destroy()
    end
  end)
]]

-- A server with so many clients, whose connections all go to the child.
local function hand_over(child, count)
  local sent = 0
  local server, port = sockets.listen(function(socket)
    sent = sent + 1
    child:send(sent, socket)
  end)
  local clients = {}
  for index = 1, count do
    clients[index] = mw.net.connect(port, "127.0.0.1")
    clients[index]:resume()
  end
  eventually(function()
    return sent == count
  end)
  return server, clients
end

local function all_closed(clients)
  eventually(function()
    for _, client in ipairs(clients) do
      if not client.closed then
        return false
      end
    end
    return true
  end)
end

describe("A server whose connections another process has", function()
  after_each(forks.clean)

  in_both("counts them until they are closed there", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local server, clients = hand_over(child, 3)
    assert.equal(3, server:get_connections())
    transfers.arrived(arrivals, 3)
    assert.equal(3, server:get_connections())
    child:send "one"
    eventually(function()
      return server:get_connections() == 2
    end)
    child:send "all"
    eventually(function()
      return server:get_connections() == 0
    end)
    all_closed(clients)
    sockets.close(server)
    transfers.end_of(child)
  end)

  in_both("counts once what is asked for in the statement behind the send", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local client, accepted, server = sockets.pair()
    client:resume()
    local count
    child:send(1, accepted)
    server:get_connections(function(_, value)
      count = value
    end)
    eventually(function()
      return count
    end)
    assert.equal(1, count)
    transfers.arrived(arrivals)
    child:send "all"
    all_closed { client }
    sockets.close(server)
    transfers.end_of(child)
  end)

  in_both("closes only after them", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local server, clients = hand_over(child, 2)
    local closed = false
    server:close(function()
      closed = true
    end)
    transfers.arrived(arrivals, 2)
    child:send "one"
    eventually(function()
      return server:get_connections() == 1
    end)
    assert.is_false(closed)
    child:send "all"
    eventually(function()
      return closed
    end)
    all_closed(clients)
    transfers.end_of(child)
  end)

  in_both("may be closed in the statement behind the send", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local client, accepted, server = sockets.pair()
    client:resume()
    local closed = 0
    child:send(1, accepted)
    server:close(function()
      closed = closed + 1
    end)
    server:close()
    transfers.arrived(arrivals)
    assert.equal(1, server:get_connections())
    assert.equal(0, closed)
    child:send "all"
    eventually(function()
      return closed == 1
    end)
    all_closed { client }
    transfers.end_of(child)
  end)

  in_both("loses them when the child is killed", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local server, clients = hand_over(child, 3)
    transfers.arrived(arrivals, 3)
    assert.equal(3, server:get_connections())
    local closed = false
    server:close(function()
      closed = true
    end)
    transfers.kill(child)
    assert.equal(0, server:get_connections())
    eventually(function()
      return closed
    end)
    all_closed(clients)
  end)

  in_both("is told 0 by a child that is killed while it is asked", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local server, clients = hand_over(child, 1)
    transfers.arrived(arrivals)
    transfers.stop(child)
    local count
    server:get_connections(function(_, value)
      count = value
    end)
    child:kill "SIGKILL"
    eventually(function()
      return count
    end)
    assert.equal(0, count)
    forks.finish(child)
    all_closed(clients)
    sockets.close(server)
  end)

  in_both("counts those of several processes, and its own", function(opts)
    local first, first_arrivals = transfers.start(keep, opts)
    local second, second_arrivals = transfers.start(keep, opts)
    local accepted = {}
    local server, port = sockets.listen(function(socket)
      accepted[#accepted + 1] = socket
      socket:resume()
    end)
    local clients = {}
    for index = 1, 5 do
      clients[index] = mw.net.connect(port, "127.0.0.1")
      clients[index]:resume()
    end
    eventually(function()
      return #accepted == 5
    end)
    first:send(1, accepted[1])
    second:send(1, accepted[2])
    second:send(2, accepted[3])
    transfers.arrived(first_arrivals)
    transfers.arrived(second_arrivals, 2)
    assert.equal(5, server:get_connections())
    second:send "all"
    eventually(function()
      return server:get_connections() == 3
    end)
    transfers.kill(first)
    assert.equal(2, server:get_connections())
    sockets.close(accepted[4], accepted[5])
    eventually(function()
      return server:get_connections() == 0
    end)
    all_closed(clients)
    sockets.close(server)
    transfers.end_of(second)
  end)

  in_both("counts one that nobody took in a child that does not listen", function(opts)
    local path = forks.write("deaf.lua", "mw.timers.set_timeout(function() end, 200)")
    local child = mw.child_process.fork(path, {}, opts)
    local server, clients = hand_over(child, 1)
    assert.equal(1, server:get_connections())
    local closed = false
    server:close(function()
      closed = true
    end)
    child:wait "close"
    eventually(function()
      return closed
    end)
    all_closed(clients)
  end)

  in_both("counts one that is kept open twice, as long as it is", function(opts)
    local child, arrivals = transfers.start(keep, opts)
    local client, accepted, server = sockets.pair()
    client:resume()
    child:send(1, accepted, { keep_open = true })
    transfers.arrived(arrivals)
    assert.equal(2, server:get_connections())
    child:send "all"
    eventually(function()
      return server:get_connections() == 1
    end)
    sockets.close(accepted)
    all_closed { client }
    sockets.close(server)
    transfers.end_of(child)
  end)
end)
