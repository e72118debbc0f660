local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local net = require "mw.net"
local sockets = require "spec.support.sockets"
local turns = require "spec.support.turns"
local uncaught = require "spec.support.uncaught"

local function connect(port)
  local socket = net.connect(port, "127.0.0.1")
  assert(socket:wait("connect", 5000))
  return socket
end

describe("A server", function()
  it("tells where it listens, as soon as it does", function()
    local server = net.create_server()
    assert.is_nil(server:address())
    assert.is_false(server.listening)
    assert.equal(server, server:listen(0, "127.0.0.1"))
    assert.is_true(server.listening)
    local address = server:address()
    assert.same({ address = "127.0.0.1", family = "IPv4", port = address.port }, address)
    assert.is_true(address.port > 0)
    assert(server:wait "listening")
    sockets.close(server)
    assert.is_nil(server:address())
  end)

  it("listens to IPv6 and IPv4 where no host is named", function()
    local server = net.create_server(sockets.resume):listen(0)
    local address = server:address()
    assert.equal("::", address.address)
    assert.equal("IPv6", address.family)
    local four = connect(address.port)
    local six = net.connect(address.port, "::1")
    assert(six:wait "connect")
    assert.equal("IPv6", six.remote_family)
    eventually(function()
      return server:get_connections() == 2
    end)
    sockets.close(four, six, server)
  end)

  it("leaves the port to IPv4 with ipv6_only", function()
    local server = net.create_server():listen { port = 0, host = "::", ipv6_only = true }
    local other = net.create_server():listen(server:address().port, "127.0.0.1")
    assert(other:wait "listening")
    sockets.close(server, other)
  end)

  it("takes a name for a host", function()
    local server = net.create_server():listen(0, "localhost")
    assert.is_nil(server:address())
    assert(server:wait "listening")
    assert.is_true(net.is_ip(server:address().address) ~= 0)
    sockets.close(server)
  end)

  it("takes each form of listen()", function()
    for _, form in ipairs {
      {},
      { 0 },
      { "0" },
      { 0, "127.0.0.1" },
      { 0, 5 },
      { 0, "127.0.0.1", 5 },
      { { port = 0 } },
      { { port = 0, host = "127.0.0.1", backlog = 1, exclusive = true } },
      { "\0mwrun-spec-" .. mw.process.pid },
    } do
      local called = false
      table.insert(form, function()
        called = true
      end)
      local server = net.create_server():listen(table.unpack(form))
      assert.is_false(called)
      assert(server:wait "listening")
      assert.is_true(called)
      sockets.close(server)
    end
  end)

  it("does not take what can't be meant", function()
    local server = net.create_server()
    local port_like = { 65536, -1, 1.5, "", "a\0b", true, {}, { host = "x" }, { prot = 1 } }
    for _, value in ipairs(port_like) do
      assert.matches("^listen: ", misuse(function()
        server:listen(value)
      end))
    end
    assert.matches("did you mean 'port'", misuse(function()
      server:listen { prot = 1 }
    end))
    assert.matches("^create_server: unknown option", misuse(function()
      net.create_server { no_dealy = true }
    end))
    assert.is_false(server.listening)
  end)

  it("listens once", function()
    local server = net.create_server():listen(0)
    assert.matches("ERR_SERVER_ALREADY_LISTEN", misuse(function()
      server:listen(0)
    end))
    sockets.close(server)
    server:listen(0)
    assert(server:wait "listening")
    sockets.close(server)
  end)

  it("tells by an error that the port is taken, and can listen again", function()
    local first, port = sockets.listen()
    local second = net.create_server():listen(port, "127.0.0.1")
    local err = sockets.failure(second)
    assert.equal("EADDRINUSE", err.code)
    assert.equal("listen", err.syscall)
    assert.equal("127.0.0.1", err.address)
    assert.equal(port, err.port)
    assert.equal(("EADDRINUSE: address already in use, listen 127.0.0.1:%d"):format(port), tostring(err))
    assert.is_false(second.listening)
    second:listen(0, "127.0.0.1")
    assert(second:wait "listening")
    sockets.close(first, second)
  end)

  it("shares its port with another by reuse_port", function()
    local first = net.create_server():listen { port = 0, host = "127.0.0.1", reuse_port = true }
    local port = first:address().port
    local second = net.create_server():listen { port = port, host = "127.0.0.1", reuse_port = true }
    assert(second:wait "listening")
    local third = net.create_server():listen(port, "127.0.0.1")
    assert.equal("EADDRINUSE", sockets.failure(third).code)
    sockets.close(first, second)
  end)

  it("tells by an error that there is no such host", function()
    local server = net.create_server():listen(0, "no.such.host.invalid")
    local err = sockets.failure(server)
    assert.equal("getaddrinfo", err.syscall)
    assert.equal("no.such.host.invalid", err.hostname)
    local foreign = net.create_server():listen(0, "192.0.2.1")
    assert.equal("EADDRNOTAVAIL", sockets.failure(foreign).code)
  end)

  it("makes an error that nobody listens to an uncaught exception", function()
    local server, port = sockets.listen()
    uncaught(function(list)
      net.create_server():listen(port, "127.0.0.1")
      eventually(function()
        return #list == 1
      end)
      assert.equal("EADDRINUSE", list[1].error.code)
    end)
    sockets.close(server)
  end)

  it("can be closed by an abort token", function()
    local controller = mw.abort_controller()
    local server = net.create_server():listen { port = 0, signal = controller.signal }
    assert(server:wait "listening")
    controller:abort()
    assert.is_false(server.listening)
    assert(server:wait("close", 5000))
    local aborted = net.create_server():listen { port = 0, signal = controller.signal }
    assert(aborted:wait("close", 5000))
  end)

  it("does not keep the process alive after unref(), also before listen()", function()
    local code = [[
      local net = require "mw.net"
      net.create_server():unref():listen(0)
      net.create_server():listen(0):unref()
      local back = net.create_server():listen(0):unref():ref()
      require "mw.timers".set_timeout(function() print "over" back:close() end, 20)
    ]]
    assert.equal("over\n", children.lua(code).stdout)
  end)
end)

describe("The listener of connections", function()
  it("is a task, and may wait", function()
    local server, port = sockets.listen(function(socket)
      local name = socket:read()
      turns()
      socket:write("hello " .. name)
      socket:finish()
    end)
    local client = connect(port)
    client:write "you"
    assert.equal("hello you", client:read())
    assert.is_nil((client:read()))
    sockets.close(client, server)
  end)

  it("misses nothing of what came before it reads", function()
    local text = ("x"):rep(300000)
    local got
    local server, port = sockets.listen(function(socket)
      turns()
      local pieces = {}
      socket:on("data", function(chunk)
        pieces[#pieces + 1] = chunk
      end)
      socket:wait "end"
      got = table.concat(pieces)
    end)
    local client = connect(port)
    client:finish(text)
    eventually(function()
      return got
    end)
    assert.equal(#text, #got)
    assert.equal(text, got)
    sockets.close(client, server)
  end)

  it("makes its error an uncaught exception, and the server goes on", function()
    local count = 0
    local server, port = sockets.listen(function(socket)
      count = count + 1
      socket:destroy()
      error "on purpose"
    end)
    uncaught(function(list)
      for round = 1, 2 do
        local client = connect(port)
        eventually(function()
          return #list == round
        end)
        assert.matches("on purpose", list[round].error)
        sockets.close(client)
      end
    end)
    assert.equal(2, count)
    sockets.close(server)
  end)

  it("has done its part by finish(): the connection ends with the peer", function()
    local kinds = {
      function(socket)
        socket:finish "answer"
      end,
      function(socket)
        socket:read()
        socket:finish "answer"
      end,
      function(socket)
        socket:read(1) -- and leaves the rest
        socket:finish "answer"
      end,
    }
    for _, kind in ipairs(kinds) do
      local server, port = sockets.listen(kind)
      local client = connect(port)
      client:write "question"
      assert.equal("answer", client:read())
      assert.equal(1, server:get_connections())
      client:destroy()
      server:close()
      assert(server:wait("close", 5000))
      assert.equal(0, server:get_connections())
    end
  end)

  it("that has finished is not told by an uncaught exception that the peer went away", function()
    local server, port = sockets.listen(function(socket)
      socket:finish "answer"
    end)
    local list = uncaught(function()
      local client = connect(port)
      assert.equal("answer", client:read())
      client:reset_and_destroy()
      server:close()
      assert(server:wait("close", 5000))
    end)
    assert.same({}, list)
  end)

  it("may be several, and one of once", function()
    local seen = {}
    local server, port = sockets.listen(function()
      seen[#seen + 1] = "on"
    end)
    server:on("connection", sockets.resume)
    server:once("connection", function(socket)
      assert(mw.sleep(1))
      seen[#seen + 1] = "once " .. tostring(socket.remote_address)
    end)
    local clients = { connect(port), connect(port) }
    eventually(function()
      return #seen == 3
    end)
    table.sort(seen)
    assert.same({ "on", "on", "once 127.0.0.1" }, seen)
    sockets.close(clients[1], clients[2], server)
  end)

  it("can be waited for", function()
    local server, port = sockets.listen()
    local client = net.connect(port, "127.0.0.1")
    local socket = server:wait("connection", 5000)
    assert.equal(client.local_port, socket.remote_port)
    sockets.close(client, socket, server)
  end)

  it("gets a socket that is paused, with pause_on_connect", function()
    local client, accepted, server = sockets.pair { pause_on_connect = true }
    client:write "kept"
    local got
    accepted:on("data", function(chunk)
      got = chunk
    end)
    turns()
    assert.is_nil(got)
    assert.equal(0, accepted.bytes_read)
    accepted:resume()
    eventually(function()
      return got == "kept"
    end)
    sockets.close(client, accepted, server)
  end)
end)

describe("close() of a server", function()
  it("waits for the connections, and takes no new ones", function()
    local client, accepted, server = sockets.pair()
    local port = server:address().port
    local closed = false
    server:close(function(err)
      closed = err == nil
    end)
    assert.is_false(server.listening)
    local refused = sockets.failure(net.connect(port, "127.0.0.1"))
    assert.equal("ECONNREFUSED", refused.code)
    assert.is_false(closed)
    client:destroy()
    accepted:resume()
    eventually(function()
      return closed
    end)
    assert.equal(0, server:get_connections())
  end)

  it("tells by its callback that the server did not listen", function()
    local server = net.create_server()
    local err
    server:close(function(value)
      err = value
    end)
    assert.is_nil(err)
    eventually(function()
      return err
    end)
    assert.equal("ERR_SERVER_NOT_RUNNING", err.code)
  end)

  it("may come twice", function()
    local server = sockets.listen()
    local results = {}
    server:close(function(err)
      results[1] = err or "closed"
    end)
    server:close(function(err)
      results[2] = err or "closed"
    end)
    eventually(function()
      return #results == 2
    end)
    assert.equal("closed", results[1])
    assert.equal("ERR_SERVER_NOT_RUNNING", results[2].code)
  end)

  it("takes back a listen() that has no answer yet", function()
    local server = net.create_server()
    local events = sockets.record(server, "listening", "error", "close")
    server:listen(0, "localhost")
    server:close()
    assert(server:wait("close", 5000))
    turns()
    assert.equal("close", sockets.names(events))
    server:listen(0)
    server:close()
    assert(server:wait("close", 5000))
    assert.equal("close close", sockets.names(events))
  end)

  it("happens at the end of a block, for a variable to be closed", function()
    local server
    do
      local here <close> = sockets.listen()
      server = here
    end
    assert.is_false(server.listening)
  end)
end)

describe("max_connections", function()
  it("drops those that are more, and says whom", function()
    local server, port = sockets.listen(sockets.resume)
    server.max_connections = 1
    local dropped
    server:on("drop", function(who)
      dropped = who
    end)
    local first = connect(port)
    local second = connect(port)
    local local_port = second.local_port
    assert.is_nil((second:read()))
    assert.same({
      local_address = "127.0.0.1",
      local_port = port,
      local_family = "IPv4",
      remote_address = "127.0.0.1",
      remote_port = local_port,
      remote_family = "IPv4",
    }, dropped)
    assert.equal(1, server:get_connections())
    sockets.close(first, second, server)
  end)

  it("of 0 drops all", function()
    local server, port = sockets.listen()
    server.max_connections = 0
    local client = connect(port)
    assert.is_nil((client:read()))
    sockets.close(client, server)
  end)

  it("counts a connection no more once it has ended", function()
    local server, port = sockets.listen(function(socket)
      socket:finish("in"):resume()
    end)
    server.max_connections = 1
    for _ = 1, 5 do
      local client = connect(port)
      assert.equal("in", client:read())
      sockets.close(client)
      eventually(function()
        return server:get_connections() == 0
      end)
    end
    sockets.close(server)
  end)
end)

describe("get_connections", function()
  it("waits, or takes a callback", function()
    local client, accepted, server = sockets.pair()
    assert.equal(1, server:get_connections())
    local err, count = "none", nil
    server:get_connections(function(...)
      err, count = ...
    end)
    assert.is_nil(count)
    eventually(function()
      return count
    end)
    assert.is_nil(err)
    assert.equal(1, count)
    sockets.close(client, accepted, server)
  end)
end)

describe("A server without descriptors", function()
  it("drops connections, does not spin, and goes on when there are some again", function()
    local code = [[
      local mw = require "mw"
      local server = mw.net.create_server(function(socket)
        socket:finish "served"
      end)
      server:listen(0, "127.0.0.1", function() print(server:address().port) end)
      local files = {}
      mw.process.on("SIGUSR1", function()
        while true do
          local file = io.open "/dev/null"
          if not file then break end
          files[#files + 1] = file
        end
        local before = mw.process.cpu_usage()
        print "full"
        mw.timers.set_timeout(function()
          local spent = mw.process.cpu_usage(before)
          for _, file in ipairs(files) do file:close() end
          print("spent " .. (spent.user + spent.system) // 1000)
        end, 300)
      end)
    ]]
    local child = children.start_lua(code, { limits = { nofile = 32 } })
    local port = math.tointeger(tonumber(child.stdout:lines()()))
    child:kill "SIGUSR1"
    assert.equal("full", child.stdout:lines()())
    local dropped = {}
    for index = 1, 5 do
      dropped[index] = connect(port)
    end
    for _, client in ipairs(dropped) do
      assert.is_nil((client:read()))
      client:destroy()
    end
    local spent = tonumber(child.stdout:lines()():match "spent (%d+)")
    assert.is_true(spent < 200)
    local client = connect(port)
    assert.equal("served", client:read())
    sockets.close(client)
    child:kill "SIGKILL"
    child:wait "close"
  end)
end)
