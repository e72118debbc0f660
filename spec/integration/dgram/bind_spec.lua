local dgram = require "mw.dgram"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local udp = require "spec.support.udp"

local it_with_ipv6 = udp.has_ipv6() and it or pending

describe("create_socket", function()
  it("takes the type alone or among the options", function()
    for _, opts in ipairs { "udp4", "udp6", { type = "udp4" }, { type = "udp6", reuse_addr = true } } do
      local socket <close> = dgram.create_socket(opts)
      assert.equal(type(opts) == "table" and opts.type or opts, socket.type)
    end
  end)

  it("refuses other types", function()
    local expected = "create_socket: bad argument 'type' ('udp4', 'udp6' expected, got %s) (ERR_SOCKET_BAD_TYPE)"
    assert.equal(expected:format '"udp5"', misuse(function()
      dgram.create_socket "udp5"
    end))
    assert.equal(expected:format "nil", misuse(function()
      dgram.create_socket()
    end))
    assert.equal(expected:format "nil", misuse(function()
      dgram.create_socket { reuse_addr = true }
    end))
  end)

  it("refuses unknown options, and values that are none", function()
    for name, value in pairs {
      reuse_adr = true,
      reuse_addr = 1,
      reuse_port = "yes",
      ipv6_only = 0,
      recv_buffer_size = -1,
      send_buffer_size = 1.5,
      lookup = {},
      signal = {},
    } do
      assert.matches("^create_socket: .*option '" .. name, misuse(function()
        dgram.create_socket { type = "udp4", [name] = value }
      end))
    end
    assert.matches("'message_listener'", misuse(function()
      dgram.create_socket("udp4", "listener")
    end))
  end)

  it("does not change the options", function()
    local opts = { type = "udp4", reuse_addr = true, recv_buffer_size = 10000 }
    udp.close(udp.bound(opts))
    assert.same({ type = "udp4", reuse_addr = true, recv_buffer_size = 10000 }, opts)
  end)

  it("opens no descriptor", function()
    local before = leaks.descriptor_count()
    local socket <close> = dgram.create_socket "udp4"
    assert.equal(before, leaks.descriptor_count())
    assert.is_nil(socket:fileno())
  end)

  it("is a function of the module that mw loads on first use", function()
    assert.equal(dgram, mw.dgram)
  end)

  it("makes sockets that say what they are", function()
    local socket = dgram.create_socket "udp6"
    assert.equal("mw.dgram.socket (udp6, unbound)", tostring(socket))
    socket:close()
    assert.equal("mw.dgram.socket (udp6, closed)", tostring(socket))
  end)

  it("sets the sizes of the buffers when the socket is bound", function()
    local socket <close> = udp.bound { type = "udp4", recv_buffer_size = 20000, send_buffer_size = 30000 }
    assert.equal(40000, socket:get_recv_buffer_size())
    assert.equal(60000, socket:get_send_buffer_size())
  end)
end)

describe("The option signal", function()
  it("closes the socket on abort", function()
    local controller = mw.abort_controller()
    local socket = udp.bound { type = "udp4", signal = controller.signal }
    assert.equal(1, controller.signal:listener_count "abort")
    controller:abort()
    assert.is_true(socket:wait("close", 5000))
  end)

  it("closes it at once where it is aborted already", function()
    local controller = mw.abort_controller()
    controller:abort()
    local socket = dgram.create_socket { type = "udp4", signal = controller.signal }
    assert.is_true(socket:wait("close", 5000))
    local _, err = socket:bind()
    assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", err.code)
  end)

  it("is not listened to any more once the socket is closed", function()
    local controller = mw.abort_controller()
    udp.close(dgram.create_socket { type = "udp4", signal = controller.signal })
    assert.equal(0, controller.signal:listener_count "abort")
    controller:abort()
  end)
end)

describe("bind", function()
  local socket

  local function with_socket(test)
    return function()
      socket = dgram.create_socket "udp4"
      test()
      udp.close(socket)
    end
  end

  it(
    "takes a free port and all addresses where none are named",
    with_socket(function()
      for _, bind in ipairs {
        function(one)
          one:bind()
        end,
        function(one)
          one:bind(0)
        end,
        function(one)
          one:bind(nil, nil)
        end,
        function(one)
          one:bind {}
        end,
        function(one)
          one:bind(0, "")
        end,
      } do
        local one <close> = dgram.create_socket "udp4"
        bind(one)
        one:wait("listening", 5000)
        local address = one:address()
        assert.equal("0.0.0.0", address.address)
        assert.equal("IPv4", address.family)
        assert.is_true(address.port > 0)
      end
    end)
  )

  it(
    "takes port and address, and a table of both",
    with_socket(function()
      local other <close> = dgram.create_socket "udp4"
      socket:bind(0, "127.0.0.1")
      socket:wait("listening", 5000)
      assert.equal("127.0.0.1", socket:address().address)
      other:bind { port = udp.port(socket), address = "127.0.0.2", exclusive = true }
      other:wait("listening", 5000)
      assert.same({ address = "127.0.0.2", family = "IPv4", port = udp.port(socket) }, other:address())
    end)
  )

  it(
    "calls back when it listens, after it has returned",
    with_socket(function()
      local calls = {}
      local function note(name)
        return function(...)
          calls[#calls + 1] = table.pack(name, ...)
        end
      end
      socket:on("listening", note "event")
      assert.equal(socket, socket:bind(0, "127.0.0.1", note "callback"))
      assert.same({}, calls)
      eventually(function()
        return #calls == 2
      end)
      assert.same({ { n = 1, "event" }, { n = 1, "callback" } }, calls)
    end)
  )

  it(
    "takes the callback behind any of the others",
    with_socket(function()
      for count, bind in ipairs {
        function(one, done)
          one:bind(done)
        end,
        function(one, done)
          one:bind(0, done)
        end,
        function(one, done)
          one:bind(0, "127.0.0.1", done)
        end,
        function(one, done)
          one:bind({ port = 0 }, done)
        end,
        function(one, done)
          one:bind(nil, nil, done)
        end,
      } do
        local one <close> = dgram.create_socket "udp4"
        local called
        bind(one, function()
          called = count
        end)
        eventually(function()
          return called == count
        end)
      end
    end)
  )

  it(
    "finds the address of a name",
    with_socket(function()
      socket:bind(0, "localhost")
      socket:wait("listening", 5000)
      assert.equal("127.0.0.1", socket:address().address)
    end)
  )

  it(
    "refuses what is no port, address, callback or option",
    with_socket(function()
      for _, port in ipairs { -1, 65536, 1.5, "0", true } do
        local expected = "^bind: bad argument 'port' %(integer from 0 to 65535 expected, got .*%) %(ERR_SOCKET_BAD_PORT%)$"
        assert.matches(expected, misuse(function()
          socket:bind(port)
        end))
      end
      assert.matches("'port'.*ERR_SOCKET_BAD_PORT", misuse(function()
        socket:bind { port = 65536 }
      end))
      assert.matches("'address'", misuse(function()
        socket:bind(0, 5)
      end))
      assert.matches("'address'", misuse(function()
        socket:bind { address = "a\0b" }
      end))
      assert.matches("'callback'", misuse(function()
        socket:bind(0, "127.0.0.1", "callback")
      end))
      assert.matches("unknown option 'adress', did you mean 'address'", misuse(function()
        socket:bind { adress = "127.0.0.1" }
      end))
      assert.matches("too many arguments", misuse(function()
        socket:bind({}, nil, print)
      end))
    end)
  )

  it(
    "is misuse on a socket that is bound, or about to be",
    with_socket(function()
      local expected = "bind: the socket is bound already (ERR_SOCKET_ALREADY_BOUND)"
      socket:bind(0, "127.0.0.1")
      assert.equal(expected, misuse(function()
        socket:bind()
      end))
      socket:wait("listening", 5000)
      assert.equal(expected, misuse(function()
        socket:bind()
      end))
    end)
  )

  it(
    "gives an error that names the address where that is in use, and may be tried again",
    with_socket(function()
      local other <close> = udp.bound()
      local called = false
      socket:bind(udp.port(other), "127.0.0.1", function()
        called = true
      end)
      local _, err = socket:wait("listening", 5000)
      assert.equal("EADDRINUSE", err.code)
      assert.equal("bind", err.syscall)
      assert.equal("127.0.0.1", err.address)
      assert.equal(udp.port(other), err.port)
      assert.matches("bind 127.0.0.1:" .. udp.port(other), tostring(err), 1, true)
      socket:bind(0, "127.0.0.1")
      assert.is_true(socket:wait("listening", 5000))
      assert.is_false(called)
    end)
  )

  it(
    "gives an error for an address of another machine, or another family",
    with_socket(function()
      socket:bind(0, "192.0.2.1")
      local _, err = socket:wait("listening", 5000)
      assert.equal("EADDRNOTAVAIL", err.code)
      socket:bind(0, "::1")
      _, err = socket:wait("listening", 5000)
      assert.equal("EINVAL", err.code)
      assert.matches("bind ::1:0", tostring(err), 1, true)
    end)
  )

  it(
    "gives the look-up's error for a name that has no address",
    with_socket(function()
      socket:bind(0, "no-such-host.invalid")
      local _, err = socket:wait("listening", 20000)
      assert.is_true(err.code == "ENOTFOUND" or err.code == "EAI_AGAIN", err.code)
      assert.equal("getaddrinfo", err.syscall)
      assert.equal("no-such-host.invalid", err.hostname)
    end)
  )

  it(
    "ends in nothing where the socket is closed meanwhile",
    with_socket(function()
      local called = false
      socket:bind(0, "localhost", function()
        called = true
      end)
      udp.close(socket)
      udp.close(udp.bound())
      assert.is_false(called)
    end)
  )

  it(
    "may be followed by a close in the listener",
    with_socket(function()
      socket:on("listening", function()
        socket:close()
      end)
      socket:bind(0, "127.0.0.1")
      assert.is_true(socket:wait("close", 5000))
    end)
  )

  it(
    "asks the option lookup, also for numeric addresses",
    with_socket(function()
      local asked = {}
      local one <close> = dgram.create_socket {
        type = "udp4",
        lookup = function(host, family, done)
          asked[#asked + 1] = { host, family }
          done(nil, "127.0.0.1", 4)
        end,
      }
      one:bind(0, "somewhere")
      one:wait("listening", 5000)
      assert.equal("127.0.0.1", one:address().address)
      one:send("x", 9, "192.0.2.1")
      assert.same({ { "somewhere", 4 }, { "192.0.2.1", 4 } }, asked)
    end)
  )

  it(
    "gives what the option lookup fails with, and refuses an answer that is no address",
    with_socket(function()
      local answer = table.pack(nil, "nonsense")
      local one <close> = dgram.create_socket {
        type = "udp4",
        lookup = function(_, _, done)
          done(table.unpack(answer, 1, answer.n))
        end,
      }
      one:bind(0, "somewhere")
      local _, err = one:wait("listening", 5000)
      assert.equal("EINVAL", err.code)
      answer = table.pack("my own error")
      one:bind(0, "somewhere")
      _, err = one:wait("listening", 5000)
      assert.equal("my own error", err)
    end)
  )

  it_with_ipv6(
    "takes IPv6 addresses, and names of such",
    with_socket(function()
      local six <close> = udp.bound "udp6"
      assert.equal("::1", six:address().address)
      assert.equal("IPv6", six:address().family)
      local any <close> = dgram.create_socket "udp6"
      any:bind()
      any:wait("listening", 5000)
      assert.equal("::", any:address().address)
    end)
  )

  it_with_ipv6(
    "leaves the IPv4 port free with ipv6_only",
    with_socket(function()
      local six <close> = dgram.create_socket { type = "udp6", ipv6_only = true }
      six:bind()
      six:wait("listening", 5000)
      socket:bind(udp.port(six))
      assert.is_true(socket:wait("listening", 5000))
    end)
  )

  it_with_ipv6(
    "takes the IPv4 port as well without it",
    with_socket(function()
      local six <close> = dgram.create_socket "udp6"
      six:bind()
      six:wait("listening", 5000)
      socket:bind(udp.port(six))
      local _, err = socket:wait("listening", 5000)
      assert.equal("EADDRINUSE", err.code)
    end)
  )
end)

describe("A port", function()
  -- CLD-02
  for _, option in ipairs { "reuse_addr", "reuse_port" } do
    it("is shared by sockets with " .. option, function()
      local first <close> = udp.bound { type = "udp4", [option] = true }
      local second <close> = dgram.create_socket { type = "udp4", [option] = true }
      second:bind(udp.port(first), "127.0.0.1")
      assert.is_true(second:wait("listening", 5000))
      assert.same(first:address(), second:address())
    end)

    it("is not shared with one that lacks " .. option, function()
      local first <close> = udp.bound { type = "udp4", [option] = true }
      local second <close> = dgram.create_socket "udp4"
      second:bind(udp.port(first), "127.0.0.1")
      local _, err = second:wait("listening", 5000)
      assert.equal("EADDRINUSE", err.code)
    end)
  end

  it("that is shared by reuse_port gets every datagram to one of the sockets", function()
    local first <close> = udp.bound { type = "udp4", reuse_port = true }
    local second <close> = dgram.create_socket { type = "udp4", reuse_port = true }
    second:bind(udp.port(first), "127.0.0.1")
    second:wait("listening", 5000)
    local got = { udp.collect(first), udp.collect(second) }
    for _ = 1, 40 do
      local sender <close> = dgram.create_socket "udp4"
      sender:send("x", udp.port(first))
    end
    eventually(function()
      return #got[1] + #got[2] == 40
    end)
    assert.is_true(#got[1] > 0 and #got[2] > 0)
  end)

  it("refused under reuse_port leaves nothing open", function()
    local first <close> = udp.bound()
    local before = leaks.descriptor_count()
    local second = dgram.create_socket { type = "udp4", reuse_port = true }
    second:bind(udp.port(first), "127.0.0.1")
    local _, err = second:wait("listening", 5000)
    assert.equal("EADDRINUSE", err.code)
    udp.close(second)
    assert.equal(before, leaks.descriptor_count())
  end)
end)

