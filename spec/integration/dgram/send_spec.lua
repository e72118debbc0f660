local dgram = require "mw.dgram"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local udp = require "spec.support.udp"

local it_with_ipv6 = udp.has_ipv6() and it or pending

describe("send", function()
  local receiver, sender, port

  local function with_sockets(test)
    return function()
      receiver, sender = udp.bound(), dgram.create_socket "udp4"
      port = udp.port(receiver)
      test()
      udp.close(receiver, sender)
    end
  end

  -- Sends, and returns what arrives.
  local function transfer(...)
    assert.is_true(sender:send(...))
    return receiver:wait("message", 5000)
  end

  it(
    "takes every form that Node has",
    with_sockets(function()
      local function ignore() end
      for _, arguments in ipairs {
        { "text", port },
        { "text", port, "127.0.0.1" },
        { "text", port, "localhost" },
        { "text", port, "" },
        { "text", port, ignore },
        { "text", port, "127.0.0.1", ignore },
        { "text", port, nil, ignore, n = 4 },
        { "a text!", 2, 4, port },
        { "a text!", 2, 4, port, "127.0.0.1" },
        { "a text!", 2, 4, port, ignore },
        { "a text!", 2, 4, port, "127.0.0.1", ignore },
        { { "text" }, port },
        { { "te", "", "xt" }, port, "127.0.0.1", ignore },
      } do
        assert.equal("text", (transfer(table.unpack(arguments, 1, arguments.n or #arguments))))
      end
    end)
  )

  it(
    "tells who sent it, and how much",
    with_sockets(function()
      local message, rinfo = transfer("four", port, "127.0.0.1")
      assert.equal("four", message)
      assert.same({ address = "127.0.0.1", family = "IPv4", port = udp.port(sender), size = 4 }, rinfo)
    end)
  )

  it(
    "gives each message a table of its own",
    with_sockets(function()
      local _, first = transfer("1", port)
      local _, second = transfer("2", port)
      assert.are_not_equal(first, second)
    end)
  )

  it(
    "sends nothing, all bytes, and as many as there may be",
    with_sockets(function()
      local all = {}
      for byte = 0, 255 do
        all[byte + 1] = string.char(byte)
      end
      for _, text in ipairs { "", table.concat(all), ("x"):rep(65507) } do
        local message, rinfo = transfer(text, port)
        assert.equal(text, message)
        assert.equal(#text, rinfo.size)
      end
      assert.equal("", (transfer({}, port)))
      assert.equal("", (transfer("abc", 3, 0, port)))
    end)
  )

  it(
    "calls back with the size, after it has returned",
    with_sockets(function()
      local result
      sender:send({ "ab", "c" }, port, function(...)
        result = table.pack(...)
      end)
      assert.is_nil(result)
      eventually(function()
        return result
      end)
      assert.same({ n = 2, nil, 3 }, result)
      result = nil
      sender:send("abcd", port, function(...)
        result = table.pack(...)
      end)
      assert.is_nil(result)
      eventually(function()
        return result
      end)
      assert.same({ n = 2, nil, 4 }, result)
    end)
  )

  it(
    "binds the socket to a free port, and tells so",
    with_sockets(function()
      sender:send("x", port)
      local _, err = sender:address()
      assert.equal("EBADF", err.code)
      assert.is_true(sender:wait("listening", 5000))
      assert.equal("0.0.0.0", sender:address().address)
    end)
  )

  it(
    "keeps the order of what waits for that",
    with_sockets(function()
      local messages = udp.collect(receiver)
      for number = 1, 20 do
        sender:send(tostring(number), port)
      end
      eventually(function()
        return #messages == 20
      end)
      assert.equal("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20", table.concat(messages, " "))
    end)
  )

  it(
    "comes before a close that follows",
    with_sockets(function()
      local order = {}
      sender:send("x", port, function(err)
        order[#order + 1] = err or "sent"
      end)
      sender:close(function()
        order[#order + 1] = "closed"
      end)
      local _, err = sender:send("too late", port)
      assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", err.code)
      assert.equal("x", (receiver:wait("message", 5000)))
      eventually(function()
        return #order == 2
      end)
      assert.same({ "sent", "closed" }, order)
    end)
  )

  it(
    "does not change the list",
    with_sockets(function()
      local list = { "a", "b" }
      transfer(list, port)
      assert.same({ "a", "b" }, list)
    end)
  )

  it(
    "refuses what is no message",
    with_sockets(function()
      for _, message in ipairs { 5, true, print } do
        assert.matches("^send: bad argument 'message' %(string or list of strings expected", misuse(function()
          sender:send(message, port)
        end))
      end
      assert.matches("list of strings expected, item 2 is 7", misuse(function()
        sender:send({ "a", 7 }, port)
      end))
      assert.matches("'message' %(string expected, got a table", misuse(function()
        sender:send({ "abc" }, 0, 2, port)
      end))
    end)
  )

  it(
    "refuses what is no port, address or callback",
    with_sockets(function()
      for _, bad in ipairs { 0, 65536, -1, 1.5, "9", true } do
        assert.matches("'port' %(integer from 1 to 65535 expected, got .*%) %(ERR_SOCKET_BAD_PORT%)$", misuse(function()
          sender:send("x", bad)
        end))
      end
      assert.matches("ERR_SOCKET_BAD_PORT", misuse(function()
        sender:send "x"
      end))
      assert.matches("'address'", misuse(function()
        sender:send("x", port, 5)
      end))
      assert.matches("'callback'", misuse(function()
        sender:send("xyz", 0, 1, port, "127.0.0.1", "callback")
      end))
    end)
  )

  it(
    "refuses a part that the message does not have",
    with_sockets(function()
      local cases = { { "offset", 4, 0 }, { "offset", -1, 1 }, { "length", 0, 4 }, { "length", 3, 1 }, { "length", 0, -1 } }
      for _, case in ipairs(cases) do
        local expected = ("^send: bad argument '%s' .*ERR_BUFFER_OUT_OF_BOUNDS"):format(case[1])
        assert.matches(expected, misuse(function()
          sender:send("abc", case[2], case[3], port)
        end))
      end
    end)
  )

  it(
    "does not bind the socket where it is misused",
    with_sockets(function()
      misuse(function()
        sender:send("x", 0)
      end)
      sender:bind(0, "127.0.0.1")
      assert.is_true(sender:wait("listening", 5000))
    end)
  )

  it(
    "gives the callback what the kernel refuses",
    with_sockets(function()
      local result
      sender:send(("x"):rep(65508), port, "127.0.0.1", function(...)
        result = table.pack(...)
      end)
      eventually(function()
        return result
      end)
      local err = result[1]
      assert.equal(1, result.n)
      assert.equal("EMSGSIZE", err.code)
      assert.equal("send", err.syscall)
      assert.equal("127.0.0.1", err.address)
      assert.equal(port, err.port)
      assert.matches("send 127.0.0.1:" .. port, tostring(err), 1, true)
    end)
  )

  it(
    "emits it where there is no callback",
    with_sockets(function()
      sender:send(("x"):rep(65508), port)
      local _, err = sender:wait("message", 5000)
      assert.equal("EMSGSIZE", err.code)
    end)
  )

  it(
    "refuses an address of another family",
    with_sockets(function()
      sender:send("x", port, "::1")
      local _, err = sender:wait("message", 5000)
      assert.equal("EINVAL", err.code)
      assert.equal("::1", err.address)
    end)
  )

  it(
    "gives a failed look-up to the callback, else to the event",
    with_sockets(function()
      local one <close> = dgram.create_socket {
        type = "udp4",
        lookup = function(host, _, done)
          done("no " .. host)
        end,
      }
      one:bind { fd = nil, port = 0, address = "127.0.0.1" }
      local _, bind_err = one:wait("listening", 5000)
      assert.equal("no 127.0.0.1", bind_err)
      local err
      one:on("error", function() end)
      one:send("x", port, "there", function(failure)
        err = failure
      end)
      eventually(function()
        return err
      end)
      assert.equal("no 0.0.0.0", err) -- it could not even be bound
      local two <close> = dgram.create_socket {
        type = "udp4",
        lookup = function(host, _, done)
          if host == "there" then
            return done "not there"
          end
          done(nil, "127.0.0.1")
        end,
      }
      err = nil
      two:send("x", port, "there", function(failure)
        err = failure
      end)
      eventually(function()
        return err
      end)
      assert.equal("not there", err)
      two:send("x", port, "there")
      _, err = two:wait("message", 5000)
      assert.equal("not there", err)
    end)
  )

  it(
    "gives the callback an error where the socket is closed while a name is looked up",
    with_sockets(function()
      local give, result
      local one <close> = dgram.create_socket {
        type = "udp4",
        lookup = function(host, _, done)
          if host ~= "there" then
            return done(nil, "127.0.0.1")
          end
          give = done
        end,
      }
      one:send("x", port, "there", function(err)
        result = err
      end)
      eventually(function()
        return give
      end)
      udp.close(one)
      give(nil, "127.0.0.1")
      eventually(function()
        return result
      end)
      assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", result.code)
    end)
  )

  it(
    "tells what waits for the bind where that fails",
    with_sockets(function()
      local results = {}
      sender:bind(port, "127.0.0.1")
      sender:send("x", port, function(err)
        results[#results + 1] = err
      end)
      sender:send("y", port)
      local _, err = sender:wait("listening", 5000)
      assert.equal("EADDRINUSE", err.code)
      eventually(function()
        return #results == 1
      end)
      assert.equal(err, results[1])
    end)
  )

  it(
    "tells an error on a closed socket, also to the callback",
    with_sockets(function()
      udp.close(sender)
      local told
      local ok, err = sender:send("x", port, function(failure)
        told = failure
      end)
      assert.is_nil(ok)
      assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", err.code)
      assert.is_nil(told)
      eventually(function()
        return told
      end)
      assert.equal(err, told)
    end)
  )

  it_with_ipv6(
    "reaches IPv6 sockets",
    with_sockets(function()
      local six <close> = udp.bound "udp6"
      local other <close> = dgram.create_socket "udp6"
      for _, address in ipairs { "::1", "0:0:0:0:0:0:0:1", "" } do
        other:send("x", udp.port(six), address)
        local _, rinfo = six:wait("message", 5000)
        assert.same({ address = "::1", family = "IPv6", port = udp.port(other), size = 1 }, rinfo)
      end
    end)
  )

  -- The loopback interface always has room: the handle says that it has none.
  local function without_room(test)
    return with_sockets(function()
      sender:bind(0, "127.0.0.1")
      sender:wait("listening", 5000)
      local handle = sender._handle
      local full = {
        try_send = function()
          return nil, "EAGAIN: resource temporarily unavailable", "EAGAIN"
        end,
      }
      sender._handle = setmetatable(full, {
        __index = function(_, name)
          return function(_, ...)
            return handle[name](handle, ...)
          end
        end,
      })
      test()
    end)
  end

  it(
    "waits until the kernel has room",
    without_room(function()
      local result
      sender:send("x", port)
      sender:send("yz", port, function(...)
        result = table.pack(...)
      end)
      assert.is_nil(result)
      assert.equal("x", (receiver:wait("message", 5000)))
      eventually(function()
        return result
      end)
      assert.same({ n = 2, nil, 2 }, result)
      assert.equal(0, sender:get_send_queue_count())
      assert.equal(0, sender:get_send_queue_size())
    end)
  )

  it(
    "tells what goes wrong after that to the callback, else to the event",
    without_room(function()
      local told
      sender:send(("x"):rep(65508), port, function(err)
        told = err
      end)
      eventually(function()
        return told
      end)
      assert.equal("EMSGSIZE", told.code)
      assert.matches("send 127.0.0.1:" .. port, tostring(told), 1, true)
      sender:send(("x"):rep(65508), port)
      local _, err = sender:wait("message", 5000)
      assert.equal("EMSGSIZE", err.code)
    end)
  )

  it(
    "calls back once where the socket is closed before that",
    without_room(function()
      local calls = 0
      for _ = 1, 3 do
        sender:send("x", port, function()
          calls = calls + 1
        end)
      end
      udp.close(sender)
      eventually(function()
        return calls == 3
      end)
    end)
  )
end)

describe("message", function()
  it("goes to every listener, that of create_socket first", function()
    local order = {}
    local socket <close> = udp.bound("udp4", function(message)
      order[#order + 1] = "first " .. message
    end)
    socket:on("message", function(message)
      order[#order + 1] = "second " .. message
    end)
    socket:send("x", udp.port(socket))
    socket:wait("message", 5000)
    assert.same({ "first x", "second x" }, order)
  end)

  it("waits for a listener that is added in the turn in which the socket was bound", function()
    local sender <close> = dgram.create_socket "udp4"
    local socket = dgram.create_socket "udp4"
    local task
    socket:bind(0, "127.0.0.1", function()
      sender:send("early", udp.port(socket))
      task = mw.go(function()
        return (socket:wait("message", 5000))
      end)
    end)
    socket:wait("listening", 5000)
    assert.equal("early", task:join())
    udp.close(socket)
  end)

  it("can be waited for in a task, one after the other, and none is lost", function()
    local socket = udp.bound()
    local sender <close> = dgram.create_socket "udp4"
    local task = mw.go(function()
      local messages = {}
      repeat
        messages[#messages + 1] = socket:wait("message", 5000)
      until #messages == 50
      return messages
    end)
    for number = 1, 50 do
      sender:send(tostring(number), udp.port(socket))
    end
    local messages = task:join()
    for number = 1, 50 do
      assert.equal(tostring(number), messages[number])
    end
    udp.close(socket)
  end)

  it("does not come after a close in a listener", function()
    local count = 0
    local socket
    socket = udp.bound("udp4", function()
      count = count + 1
      socket:close()
    end)
    local port = udp.port(socket)
    local sender <close> = udp.bound()
    for _ = 1, 5 do
      sender:send("x", port)
    end
    socket:wait("close", 5000)
    sender:send("x", udp.port(sender))
    sender:wait("message", 5000)
    assert.equal(1, count)
  end)
end)
