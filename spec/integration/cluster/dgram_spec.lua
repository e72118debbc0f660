-- UDP sockets that workers have in common.

local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local services = require "spec.support.services"
local udp = require "spec.support.udp"

after_each(clusters.clean)

local function start(policy, workers)
  return services.start {
    workers = workers or 2,
    worker = services.obeying,
    settings = { scheduling_policy = policy },
  }
end

local function finish(service)
  assert.equal("", service:stop())
end

-- Binds in a worker; tells the port, or the error.
local function bind(service, id, what, kind)
  return service:inside(
    id,
    ([[
      sockets = sockets or {}
      local socket = mw.dgram.create_socket(%s)
      table.insert(sockets, socket)
      socket:on("message", function(message, from)
        socket:send(worker.id .. " " .. message, from.port, from.address)
      end)
      socket:on("error", function(err) tell(nil, err.code, err.syscall, err.address, err.port) end)
      socket:bind({ %s }, function() tell(socket:address().port) end)
    ]]):format(kind or "'udp4'", what)
  )
end

-- Sends so many messages, each again until its answer comes.
local function ask(port, count)
  local client = udp.bound()
  local answers, total = {}, 0
  client:on("message", function(message)
    local number = message:match " (%d+)$"
    if not answers[number] then
      answers[number], total = true, total + 1
    end
  end)
  for number = 1, count do
    client:send(tostring(number), port, "127.0.0.1")
  end
  eventually(function()
    return total == count
  end)
  udp.close(client)
end

describe("UDP sockets of workers", function()
  -- CLD-01, CLN-02
  it("share a port, whatever the policy", function()
    for _, policy in ipairs { "rr", "none", "reuseport" } do
      local service = start(policy, 4)
      local port = bind(service, 1, "port = 0, address = '127.0.0.1'")
      for id = 2, 4 do
        assert.equal(port, bind(service, id, "port = 0, address = '127.0.0.1'"))
      end
      assert.not_equal(port, bind(service, 2, "port = 0, address = '127.0.0.1'"))
      ask(port, 100)
      service:kill(1)
      service:eval "cluster.workers[2]:disconnect()"
      service:await_exit(2)
      ask(port, 20)
      finish(service)
    end
  end)

  it("tell their master where they listen", function()
    local service = start "rr"
    local port = bind(service, 1, "port = 0, address = '127.0.0.1'")
    eventually(function()
      return service.listening[1]
    end)
    assert.equal(port, service.listening[1].port)
    finish(service)
  end)

  -- CLD-02
  it("may reuse an address, or a port without the master, and leave IPv4 alone", function()
    local service = start "rr"
    local port = bind(service, 1, "port = 0, address = '127.0.0.1'", "{ type = 'udp4', reuse_addr = true }")
    local same = ("port = %d, address = '127.0.0.1'"):format(port)
    assert.equal(port, bind(service, 1, same, "{ type = 'udp4', reuse_addr = true }"))
    local own = bind(service, 1, "port = 0, address = '127.0.0.1'", "{ type = 'udp4', reuse_port = true }")
    same = ("port = %d, address = '127.0.0.1'"):format(own)
    assert.equal(own, bind(service, 2, same, "{ type = 'udp4', reuse_port = true }"))
    if udp.has_ipv6() then
      local six = bind(service, 1, "port = 0, address = '::'", "{ type = 'udp6', ipv6_only = true }")
      assert.equal(six, bind(service, 1, ("port = %d, address = '0.0.0.0'"):format(six)))
    end
    for id = 1, 2 do
      service:inside(id, "for _, socket in ipairs(sockets or {}) do socket:close() end tell()")
    end
    finish(service)
  end)

  -- CLN-16
  it("have ports of their own where they ask for that", function()
    local service = start "rr"
    local port = bind(service, 1, "port = 0, address = '127.0.0.1', exclusive = true")
    local same = ("port = %d, address = '127.0.0.1', exclusive = true"):format(port)
    local _, code = bind(service, 2, same)
    assert.equal("EADDRINUSE", code)
    assert.not_equal(port, bind(service, 2, "port = 0, address = '127.0.0.1', exclusive = true"))
    for id = 1, 2 do
      service:inside(id, "for _, socket in ipairs(sockets) do pcall(socket.close, socket) end tell()")
    end
    finish(service)
  end)

  -- CLD-04
  it("that are refused are told so once, and can be closed", function()
    local service = start "rr"
    local taken = udp.bound()
    local port = udp.port(taken)
    local heard = { bind(service, 1, ("port = %d, address = '127.0.0.1'"):format(port)) }
    assert.same({ nil, "EADDRINUSE", "bind", "127.0.0.1", port }, heard)
    assert.is_true(service:inside(1, "sockets[1]:on('close', function() tell(true) end) sockets[1]:close()"))
    udp.close(taken)
    assert.equal(port, bind(service, 1, ("port = %d, address = '127.0.0.1'"):format(port)))
    finish(service)
  end)

  -- CLD-05
  it("may be closed in the event listening, and before the master's answer", function()
    local service = start "rr"
    local heard = service:inside(
      1,
      [[
        local first, second = mw.dgram.create_socket "udp4", mw.dgram.create_socket "udp4"
        first:bind({ port = 0, address = "127.0.0.1" }, function() first:close() end)
        second:bind({ port = 0, address = "127.0.0.1" }, function() tell "listening" end)
        first:on("close", function() tell "closed" end)
        second:close()
      ]]
    )
    assert.equal("closed", heard)
    service:eval "cluster.workers[1]:disconnect()"
    assert.same({ code = 0 }, service:await_exit(1))
    finish(service)
  end)

  -- CLD-06
  it("that are bound by their first send have a port of their own", function()
    local service = start "rr"
    local ports = {}
    for id = 1, 2 do
      ports[id] = service:inside(
        id,
        [[
          local socket = mw.dgram.create_socket "udp4"
          socket:send("x", 9, "127.0.0.1", function() tell(socket:address().port) end)
          socket:unref()
        ]]
      )
    end
    assert.not_equal(ports[1], ports[2])
    finish(service)
  end)
end)
