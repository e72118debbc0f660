local dgram = require "mw.dgram"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local run_mwrun = require "spec.support.run_mwrun"
local udp = require "spec.support.udp"

describe("close", function()
  it("emits close, after it has returned", function()
    local socket = udp.bound()
    local events = {}
    socket:on("close", function()
      events[#events + 1] = "event"
    end)
    assert.equal(
      socket,
      socket:close(function()
        events[#events + 1] = "callback"
      end)
    )
    assert.same({}, events)
    assert.is_true(socket:wait("close", 5000))
    assert.same({ "event", "callback" }, events)
  end)

  it("may be called twice, and then tells its callback that it is late", function()
    local socket = dgram.create_socket "udp4"
    local count, late = 0, nil
    socket:on("close", function()
      count = count + 1
    end)
    socket:close()
    assert.equal(socket, socket:close())
    socket:wait("close", 5000)
    socket:close(function(err)
      late = err
    end)
    assert.is_nil(late)
    eventually(function()
      return late
    end)
    assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", late.code)
    assert.equal(1, count)
  end)

  it("refuses what is no callback", function()
    local socket <close> = dgram.create_socket "udp4"
    assert.matches("^close: bad argument 'callback'", misuse(function()
      socket:close "callback"
    end))
  end)

  it("works in any state", function()
    local unbound, binding, connecting = dgram.create_socket "udp4", dgram.create_socket "udp4", dgram.create_socket "udp4"
    binding:bind(0, "127.0.0.1")
    connecting:connect(9)
    udp.close(unbound, binding, connecting, udp.bound())
  end)

  -- CLD-04
  it("works after a bind that was refused, and behind what waits for one", function()
    local other <close> = udp.bound()
    local socket = dgram.create_socket "udp4"
    socket:on("error", function() end)
    socket:bind(udp.port(other), "127.0.0.1")
    socket:send("x", 9)
    socket:close()
    eventually(function()
      return socket.destroyed
    end)
  end)

  it("lets what waits for the bind go first, with all settings", function()
    local receiver <close> = udp.bound()
    local size
    local socket = dgram.create_socket { type = "udp4", recv_buffer_size = 10000 }
    socket:send("x", udp.port(receiver))
    socket:on("listening", function()
      size = socket:get_recv_buffer_size()
    end)
    socket:close()
    for method, arguments in pairs { bind = {}, connect = { 9 }, send = { "x", 9 } } do
      local _, err = socket[method](socket, table.unpack(arguments))
      assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", err.code)
    end
    assert.is_true(socket:wait("close", 5000))
    assert.equal(20000, size)
    assert.equal("x", (receiver:wait("message", 5000)))
  end)

  it("comes with the end of a scope", function()
    local kept
    do
      local socket <close> = udp.bound()
      kept = socket
    end
    assert.is_true(kept:wait("close", 5000))
  end)

  it("ends the process where nothing else is left", function()
    local result = run_mwrun {
      "-e",
      [[
        local socket = require("mw.dgram").create_socket "udp4"
        socket:bind(0, "127.0.0.1", function()
          socket:close(function()
            print "closed"
          end)
        end)
      ]],
    }
    assert.equal("closed\n", result.stdout)
    assert.equal(0, result.status)
  end)
end)

describe("A closed socket", function()
  it("answers every method with an error", function()
    local socket = udp.bound()
    udp.close(socket)
    for method, arguments in pairs {
      bind = {},
      connect = { 9 },
      disconnect = {},
      remote_address = {},
      address = {},
      send = { "x", 9 },
      add_membership = { "224.0.0.114" },
      drop_membership = { "224.0.0.114" },
      add_source_specific_membership = { "127.0.0.1", "232.1.1.1" },
      drop_source_specific_membership = { "127.0.0.1", "232.1.1.1" },
      set_multicast_ttl = { 1 },
      set_multicast_interface = { "127.0.0.1" },
      set_multicast_loopback = { true },
      set_ttl = { 1 },
      set_broadcast = { true },
      get_recv_buffer_size = {},
      get_send_buffer_size = {},
      set_recv_buffer_size = { 1000 },
      set_send_buffer_size = { 1000 },
      get_send_queue_size = {},
      get_send_queue_count = {},
    } do
      local result = table.pack(socket[method](socket, table.unpack(arguments)))
      assert.is_nil(result[1], method)
      assert.equal("ERR_SOCKET_DGRAM_NOT_RUNNING", result[2].code, method)
    end
    assert.equal(socket, socket:ref())
    assert.equal(socket, socket:unref())
    assert.is_nil(socket:fileno())
  end)

  it("ends a wait at once", function()
    local socket = dgram.create_socket "udp4"
    udp.close(socket)
    local ok, err = socket:wait "message"
    assert.is_nil(ok)
    assert.is_not_nil(err)
  end)
end)

describe("The loop", function()
  local function status_of(line)
    local code = [[
      local dgram = require "mw.dgram"
      local timers = require "mw.timers"
      local socket = dgram.create_socket "udp4"
      %s
      timers.set_timeout(function()
        io.write "alive"
        os.exit(0)
      end, 300):unref()
    ]]
    return run_mwrun { "-e", code:format(line) }
  end

  it("is kept alive by a socket that is bound, or was bound by its first use", function()
    for _, line in ipairs { "socket:bind(0, '127.0.0.1')", "socket:send('x', 9)", "socket:bind():unref():ref()" } do
      assert.equal("alive", status_of(line).stdout)
    end
  end)

  -- PROC-07
  it("is not by one that is not bound, or was unreferenced before or after that", function()
    for _, line in ipairs {
      "",
      "socket:unref():bind(0, '127.0.0.1')",
      "socket:bind(0, '127.0.0.1'):unref()",
      "socket:bind(0, '127.0.0.1', function() socket:unref() end)",
    } do
      local result = status_of(line)
      assert.equal("", result.stdout .. result.stderr)
      assert.equal(0, result.status)
    end
  end)

  it("reports an error that nobody listens to as an uncaught exception", function()
    local result = status_of "socket:bind(0, '192.0.2.1')"
    assert.equal(1, result.status)
    assert.matches("EADDRNOTAVAIL", result.stderr, 1, true)
    assert.matches("bind 192.0.2.1:0", result.stderr, 1, true)
  end)

  it("runs on when a listener raises, and the datagrams behind it come", function()
    local caught
    local function note(err)
      caught = err
    end
    mw.process.on("uncaught_exception", note)
    local socket <close> = udp.bound()
    local messages = {}
    socket:on("message", function(message)
      messages[#messages + 1] = message
      error "no good"
    end)
    socket:send("1", udp.port(socket))
    socket:send("2", udp.port(socket))
    eventually(function()
      return #messages == 2
    end)
    mw.process.off("uncaught_exception", note)
    assert.matches("no good", caught)
  end)
end)
