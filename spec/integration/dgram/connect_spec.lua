local dgram = require "mw.dgram"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local udp = require "spec.support.udp"

local it_with_ipv6 = udp.has_ipv6() and it or pending

describe("A connected socket", function()
  local peer, socket

  local function with_connection(test)
    return function()
      peer, socket = udp.bound(), dgram.create_socket "udp4"
      socket:connect(udp.port(peer), "127.0.0.1")
      assert.is_true(socket:wait("connect", 5000))
      test()
      udp.close(peer, socket)
    end
  end

  it(
    "knows its peer",
    with_connection(function()
      assert.same(peer:address(), socket:remote_address())
      assert.equal("127.0.0.1", socket:address().address)
    end)
  )

  it(
    "sends without an address, in every form that Node has",
    with_connection(function()
      local function ignore() end
      for _, arguments in ipairs {
        { "text" },
        { "text", ignore },
        { "a text!", 2, 4 },
        { "a text!", 2, 4, ignore },
        { { "te", "xt" } },
        { { "te", "xt" }, ignore },
      } do
        socket:send(table.unpack(arguments))
        assert.equal("text", (peer:wait("message", 5000)))
      end
    end)
  )

  it(
    "takes no address to send to",
    with_connection(function()
      local port = udp.port(peer)
      for _, arguments in ipairs {
        { "x", port },
        { "x", port, "127.0.0.1" },
        { "x", 0, 1, port },
        { "x", 0, 1, port, "127.0.0.1" },
      } do
        assert.matches("^send: the socket is connected.*%(ERR_SOCKET_DGRAM_IS_CONNECTED%)$", misuse(function()
          socket:send(table.unpack(arguments))
        end))
      end
    end)
  )

  it(
    "receives from no other",
    with_connection(function()
      local messages = udp.collect(socket)
      local stranger <close> = udp.bound()
      stranger:send("from a stranger", udp.port(socket))
      peer:send("from the peer", udp.port(socket))
      eventually(function()
        return #messages > 0
      end)
      assert.same({ "from the peer" }, messages)
    end)
  )

  it(
    "can't be connected again",
    with_connection(function()
      assert.equal("connect: the socket is connected already (ERR_SOCKET_DGRAM_IS_CONNECTED)", misuse(function()
        socket:connect(udp.port(peer))
      end))
    end)
  )

  it(
    "can be after disconnect, which can't be called twice",
    with_connection(function()
      assert.is_true(socket:disconnect())
      for _, method in ipairs { "disconnect", "remote_address" } do
        assert.equal(method .. ": the socket is not connected (ERR_SOCKET_DGRAM_NOT_CONNECTED)", misuse(function()
          socket[method](socket)
        end))
      end
      socket:send("x", udp.port(peer))
      assert.equal("x", (peer:wait("message", 5000)))
      socket:connect(udp.port(peer))
      assert.is_true(socket:wait("connect", 5000))
    end)
  )

  it(
    "gives what the kernel refuses to the callback of send",
    with_connection(function()
      local err
      socket:send(("x"):rep(65508), function(failure)
        err = failure
      end)
      eventually(function()
        return err
      end)
      assert.equal("EMSGSIZE", err.code)
      assert.matches("EMSGSIZE: .*, send$", tostring(err))
    end)
  )

  it("hears that its peer is gone", function()
    local gone = udp.bound()
    local port = udp.port(gone)
    udp.close(gone)
    local one <close> = dgram.create_socket "udp4"
    one:connect(port)
    one:wait("connect", 5000)
    one:send "x"
    local _, err = one:wait("message", 5000)
    assert.equal("ECONNREFUSED", err.code)
    assert.equal("recvmsg", err.syscall)
  end)
end)

describe("connect", function()
  it("calls back without an error, when it has returned", function()
    local peer <close> = udp.bound()
    local socket <close> = dgram.create_socket "udp4"
    local result
    assert.equal(socket, socket:connect(udp.port(peer), function(...)
      result = table.pack(...)
    end))
    assert.is_nil(result)
    eventually(function()
      return result
    end)
    assert.same({ n = 0 }, result)
    assert.equal("127.0.0.1", socket:remote_address().address)
  end)

  it("takes a socket that is bound, or about to be", function()
    local peer <close> = udp.bound()
    local bound <close> = udp.bound()
    bound:connect(udp.port(peer), "localhost")
    assert.is_true(bound:wait("connect", 5000))
    local binding <close> = dgram.create_socket "udp4"
    binding:bind(0, "127.0.0.2")
    binding:connect(udp.port(peer))
    assert.is_true(binding:wait("connect", 5000))
    assert.equal("127.0.0.2", binding:address().address)
  end)

  it("is under way until it is done", function()
    local socket <close> = dgram.create_socket "udp4"
    socket:connect(9)
    assert.matches("ERR_SOCKET_DGRAM_IS_CONNECTED", misuse(function()
      socket:connect(9)
    end))
    assert.matches("ERR_SOCKET_DGRAM_NOT_CONNECTED", misuse(function()
      socket:remote_address()
    end))
    assert.matches("ERR_SOCKET_BAD_PORT", misuse(function()
      socket:send "x"
    end))
    socket:wait("connect", 5000)
  end)

  it("refuses what is no port, address or callback", function()
    local socket <close> = dgram.create_socket "udp4"
    for _, port in ipairs { 0, 65536, "9", 1.5, true } do
      assert.matches("^connect: bad argument 'port' .*%(ERR_SOCKET_BAD_PORT%)$", misuse(function()
        socket:connect(port)
      end))
    end
    assert.matches("'address'", misuse(function()
      socket:connect(9, 5)
    end))
    assert.matches("'callback'", misuse(function()
      socket:connect(9, "127.0.0.1", "callback")
    end))
  end)

  it("gives its error to the callback, which is then no listener any more", function()
    local socket <close> = dgram.create_socket "udp4"
    local result
    socket:connect(9, "::1", function(...)
      result = table.pack(...)
    end)
    eventually(function()
      return result
    end)
    assert.equal(1, result.n)
    assert.equal("EINVAL", result[1].code)
    assert.matches("connect ::1:9", tostring(result[1]), 1, true)
    assert.equal(0, socket:listener_count "connect")
    socket:connect(9)
    assert.is_true(socket:wait("connect", 5000))
    assert.equal(1, result.n)
  end)

  it("emits its error where there is no callback", function()
    local socket <close> = dgram.create_socket "udp4"
    socket:connect(9, "::1")
    local _, err = socket:wait("connect", 5000)
    assert.equal("EINVAL", err.code)
    assert.equal("connect", err.syscall)
  end)

  it("ends with the error of the bind that it waits for", function()
    local other <close> = udp.bound()
    local socket <close> = dgram.create_socket "udp4"
    local told
    socket:bind(udp.port(other), "127.0.0.1")
    socket:connect(9, function(err)
      told = err
    end)
    local _, err = socket:wait("connect", 5000)
    assert.equal("EADDRINUSE", err.code)
    eventually(function()
      return told
    end)
    assert.equal(err, told)
  end)

  it("tells a callback that the socket was closed meanwhile, and no listener of error", function()
    local give, told
    local function lookup(host, _, done)
      if host == "there" then
        give = done
      else
        done(nil, "127.0.0.1")
      end
    end
    local function start(...)
      give = nil
      local socket = dgram.create_socket { type = "udp4", lookup = lookup }
      socket:connect(9, "there", ...)
      eventually(function()
        return give
      end)
      udp.close(socket)
      give(nil, "127.0.0.1")
    end
    start(function(err)
      told = err
    end)
    eventually(function()
      return told
    end)
    assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", told.code)
    start()
    udp.close(udp.bound())
  end)

  it_with_ipv6("goes to IPv6 peers", function()
    local peer <close> = udp.bound "udp6"
    local socket <close> = dgram.create_socket "udp6"
    socket:connect(udp.port(peer))
    assert.is_true(socket:wait("connect", 5000))
    assert.same(peer:address(), socket:remote_address())
  end)
end)
