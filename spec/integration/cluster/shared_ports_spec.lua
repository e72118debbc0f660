-- Ports and paths that workers have in common, and what their master refuses.

local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local net = require "mw.net"
local process = require "mw.process"
local services = require "spec.support.services"
local sockets = require "spec.support.sockets"
local udp = require "spec.support.udp"
local uv = require "luv"

after_each(clusters.clean)

local policies = { "rr", "none", "least", "reuseport", "sticky" }

local function start(policy, workers, serialization)
  return services.start {
    workers = workers or 2,
    worker = services.obeying,
    settings = { scheduling_policy = policy, serialization = serialization },
  }
end

local function finish(service)
  assert.equal("", service:stop())
end

-- Listens in a worker; tells the port, or the path, or the error.
local function listen(service, id, what)
  return service:inside(
    id,
    ([[
      servers = servers or {}
      local server = mw.net.create_server(function(socket)
        socket:on("error", function() end)
        socket:finish(tostring(worker.id))
        socket:resume()
      end)
      table.insert(servers, server)
      server:on("listening", function()
        local address = server:address()
        tell(type(address) == "table" and address.port or address)
      end)
      server:on("error", function(err) tell(nil, err.code, tostring(err), err.syscall, err.address, err.port) end)
      server:listen(%s)
    ]]):format(what)
  )
end

-- What is no cluster's, disconnect() leaves open.
local function close_own(service, ...)
  for _, id in ipairs { ... } do
    service:inside(id, "for _, server in ipairs(servers) do server:close() end tell()")
  end
end

local function is_refused(port, host)
  local client = net.connect { port = port, host = host or "127.0.0.1" }
  local ok, err = client:wait "connect"
  client:destroy()
  return not ok and err.code == "ECONNREFUSED"
end

-- What the worker at an address says.
local function ask_at(what)
  local client, text, is_over = net.connect(what), "", nil
  client:on("data", function(piece)
    text = text .. piece
  end)
  client:on("error", function(err)
    text = err.code
  end)
  client:on("close", function()
    is_over = true
  end)
  eventually(function()
    return is_over
  end)
  return text
end

describe("Workers that listen at one address", function()
  -- CLN-01
  for _, serialization in ipairs { "msgpack", "json" } do
    it(("share it under every policy (%s)"):format(serialization), function()
      local free, port = sockets.listen()
      sockets.close(free)
      for _, policy in ipairs(policies) do
        local service = start(policy, 3, serialization)
        for id = 1, 3 do
          assert.same({ port }, { listen(service, id, port .. ", '127.0.0.1'") })
        end
        service.port = port
        assert.equal(30, (services.spread(service:ask(30), 3)))
        finish(service)
      end
    end)
  end

  -- CLN-02
  it("have one port for the n-th listen(0) of each, and others for other numbers", function()
    for _, policy in ipairs(policies) do
      local service = start(policy)
      local first, second = listen(service, 1, "0, '127.0.0.1'"), listen(service, 1, "0, '127.0.0.1'")
      assert.not_equal(first, second)
      assert.equal(first, listen(service, 2, "0, '127.0.0.1'"))
      assert.equal(second, listen(service, 2, "0, '127.0.0.1'"))
      assert.is_nil(service:inside(1, "servers[1]:close(function(err) tell(err) end)"))
      assert.equal(first, listen(service, 1, "0, '127.0.0.1'"))
      assert.is_true(({ ["1"] = true, ["2"] = true })[ask_at { port = first, host = "127.0.0.1" }])
      finish(service)
    end
  end)

  -- CLN-12
  it("need to name no port, and give their backlog to the master", function()
    local service = start "rr"
    local port = listen(service, 1, "{ host = '127.0.0.1', port = 0, backlog = 1 }")
    service:inside(1, "tell(process.kill(process.ppid, 0))")
    local pipe = io.popen(("ss -ltnH 'sport = :%d' 2>/dev/null"):format(port))
    local line = pipe:read "a"
    pipe:close()
    if line ~= "" then
      assert.equal("1", line:match "LISTEN%s+%d+%s+(%d+)")
    end
    assert(listen(service, 1, "") > 0)
    finish(service)
  end)

  -- CLN-13
  it("may leave IPv4 alone, or serve it, too", function()
    if not udp.has_ipv6() then
      return
    end
    for _, policy in ipairs { "rr", "none", "reuseport" } do
      local service = start(policy)
      local port = listen(service, 1, "{ host = '::', port = 0, ipv6_only = true }")
      assert.is_true(is_refused(port))
      assert.equal("1", ask_at { port = port, host = "::1" })
      local taken = sockets.listen(nil, nil, { port = port, host = "127.0.0.1" })
      sockets.close(taken)
      local both = listen(service, 1, "{ host = '::', port = 0 }")
      assert.equal("1", ask_at { port = both, host = "127.0.0.1" })
      assert.equal("1", ask_at { port = both, host = "::1" })
      finish(service)
    end
  end)

  -- CLN-16
  it("have ports of their own where they ask for that", function()
    local service = start "rr"
    local port = listen(service, 1, "{ host = '127.0.0.1', port = 0, exclusive = true }")
    local _, code = listen(service, 2, ("{ host = '127.0.0.1', port = %d, exclusive = true }"):format(port))
    assert.equal("EADDRINUSE", code)
    assert.not_equal(port, listen(service, 2, "{ host = '127.0.0.1', port = 0, exclusive = true }"))
    local shared = listen(service, 1, "0, '127.0.0.1'")
    assert.equal(shared, listen(service, 2, "0, '127.0.0.1'"))
    assert.equal("1", ask_at { port = port, host = "127.0.0.1" })
    close_own(service, 1, 2)
    finish(service)
  end)

  it("ask nobody for a handle that they have", function()
    local service = start "rr"
    local ok = service:inside(
      1,
      [[
        local handle = require("luv").new_tcp()
        handle:bind("127.0.0.1", 0)
        servers = { mw.net.create_server() }
        servers[1]:listen(handle, function() tell(servers[1]:address().port == handle:getsockname().port) end)
      ]]
    )
    assert.is_true(ok)
    close_own(service, 1)
    finish(service)
  end)

  -- CLN-17
  it("share a port by reuse_port without the master", function()
    local service = start "rr"
    local port = listen(service, 1, "{ host = '127.0.0.1', port = 0, reuse_port = true }")
    assert.equal(port, listen(service, 2, ("{ host = '127.0.0.1', port = %d, reuse_port = true }"):format(port)))
    service:kill(1)
    assert.equal("2", ask_at { port = port, host = "127.0.0.1" })
    close_own(service, 2)
    assert.is_true(is_refused(port))
    finish(service)
  end)
end)

describe("What the system refuses the master", function()
  -- CLN-09
  it("is an error of the worker's server, and works once it is free", function()
    for _, policy in ipairs(policies) do
      local service = start(policy)
      local taken, port = sockets.listen()
      local _, code, text, syscall, address, number = listen(service, 1, port .. ", '127.0.0.1'")
      assert.same({ "EADDRINUSE", "listen", "127.0.0.1", port }, { code, syscall, address, number })
      assert.matches("EADDRINUSE: .*listen 127%.0%.0%.1:" .. port, text)
      sockets.close(taken)
      assert.equal(port, listen(service, 1, port .. ", '127.0.0.1'"))
      assert.equal(port, listen(service, 2, port .. ", '127.0.0.1'"))
      finish(service)
    end
  end)

  -- CLN-09, FD-07
  it("may be a path, or a path's folder", function()
    for _, policy in ipairs { "rr", "none", "reuseport" } do
      local service = start(policy)
      local path = clusters.write("taken.sock", "a file")
      local _, code = listen(service, 1, ("%q"):format(path))
      assert.equal("EADDRINUSE", code)
      assert(os.remove(path))
      assert.equal(path, listen(service, 1, ("%q"):format(path)))
      assert.equal("1", ask_at { path = path })
      _, code = listen(service, 1, ("%q"):format(path .. ".d/x.sock"))
      assert.equal("EACCES", code)
      finish(service)
      assert.is_nil(uv.fs_stat(path))
    end
  end)

  -- CLN-10
  it("is EACCES for a privileged port", function()
    local file = assert(io.open "/proc/sys/net/ipv4/ip_unprivileged_port_start")
    local first = file:read "n"
    file:close()
    if first <= 80 or process.getuid() ~= 0 then
      return
    end
    for _, policy in ipairs { "rr", "none" } do
      local service = services.start {
        workers = 1,
        worker = services.obeying,
        settings = { scheduling_policy = policy },
      }
      service:eval "process.setgid(65534) process.setuid(65534)"
      local _, code = listen(service, 1, "80, '127.0.0.1'")
      assert.equal("EACCES", code)
      finish(service)
    end
  end)
end)

describe("A path of workers", function()
  -- CLN-11
  it("is relative to their own folder, however long that is, and goes with them", function()
    for _, policy in ipairs { "rr", "none" } do
      local service = start(policy)
      local folder = clusters.write("x", ""):match "^(.*)/" .. "/" .. ("d"):rep(120)
      assert(uv.fs_mkdir(folder, 493))
      for id = 1, 2 do
        service:inside(id, ("process.chdir(%q) tell()"):format(folder))
        assert.equal("a.sock", listen(service, id, "'a.sock'"))
      end
      assert(uv.fs_stat(folder .. "/a.sock"))
      local answer, peer = service:inside(
        1,
        [[
          local client = mw.net.connect("a.sock")
          client:on("data", function(text) tell(text, client.remote_address) end)
        ]]
      )
      assert(tonumber(answer) and peer == nil)
      finish(service)
      assert.is_nil(uv.fs_stat(folder .. "/a.sock"))
      assert(uv.fs_rmdir(folder))
    end
  end)

  -- FD-07
  it("has the mode that they ask for", function()
    local service = start "rr"
    local path = clusters.write("x", ""):match "^(.*)/" .. "/mode.sock"
    assert.equal(path, listen(service, 1, ("{ path = %q, readable_all = true, writable_all = true }"):format(path)))
    assert.equal(tonumber("777", 8), uv.fs_stat(path).mode & 511)
    local _, code = listen(service, 1, "{ path = '\\0mw-mode', writable_all = true }")
    assert.equal("EINVAL", code)
    finish(service)
  end)
end)

describe("A descriptor that a worker names", function()
  -- FD-03
  it("is its master's", function()
    for _, policy in ipairs(policies) do
      local service = start(policy)
      local number, port = service:eval [[
        local handle = require("luv").new_tcp()
        handle:bind("127.0.0.1", 0)
        kept = handle
        return handle:fileno(), handle:getsockname().port
      ]]
      for id = 1, 2 do
        assert.equal(port, listen(service, id, ("{ fd = %d }"):format(number)))
      end
      assert(tonumber((ask_at { port = port, host = "127.0.0.1" })))
      local _, code = listen(service, 1, "{ fd = 3000 }")
      assert.equal("EINVAL", code)
      service:eval "kept:close()"
      finish(service)
    end
  end)

  it("may be a UDP socket", function()
    local service = start "rr"
    local number, port = service:eval [[
      kept = require("luv").new_udp()
      kept:bind("127.0.0.1", 0)
      return kept:fileno(), kept:getsockname().port
    ]]
    assert.equal(
      port,
      service:inside(
        1,
        ([[
          local socket = mw.dgram.create_socket "udp4"
          socket:on("error", function(err) tell(err.code) end)
          socket:bind({ fd = %d }, function() tell(socket:address().port) end)
        ]]):format(number)
      )
    )
    service:eval "kept:close()"
    finish(service)
  end)
end)

describe("A server that is closed", function()
  -- CLN-15
  it("before its master's answer does not listen, and leaves nothing open", function()
    for _, policy in ipairs(policies) do
      local service = start(policy)
      local heard = service:inside(
        1,
        [[
          heard = {}
          local server = mw.net.create_server()
          for _, name in ipairs { "listening", "error", "close" } do
            server:on(name, function() heard[#heard + 1] = name end)
          end
          server:listen(0, "127.0.0.1")
          server:close()
          local probe = mw.net.create_server()
          probe:listen(0, "127.0.0.2", function() probe:close(function() tell(heard) end) end)
        ]]
      )
      assert.same({ "close" }, heard)
      assert.is_nil(service.listening[1] and service.listening[1].address == "127.0.0.1" or nil)
      service:eval "cluster.workers[1]:disconnect()"
      assert.same({ code = 0 }, service:await_exit(1))
      finish(service)
    end
  end)

  -- CLN-18
  it("or lets go of the loop, lets the worker end without its channel", function()
    local is_left = "mw.timers.set_timeout(function() print 'serves' worker:kill() end, 100)"
    for _, policy in ipairs(policies) do
      for way, printed in pairs {
        ["server:close()"] = "exit\t0\n",
        ["server:unref()"] = "exit\t0\n",
        [""] = "serves\nexit\tnil\n",
      } do
        assert.equal(printed, clusters.run(
          ([[
            cluster.setup_master { scheduling_policy = %q }
            local worker = cluster.fork()
            worker:on("exit", function(code) print("exit", code) end)
            worker:on("listening", function() %s end)
          ]]):format(policy, way == "" and is_left or ""),
          ([[
            local server = mw.net.create_server()
            server:listen(0, "127.0.0.1", function() process.channel:unref() %s end)
          ]]):format(way)
        ))
      end
    end
  end)
end)

describe("The port of workers", function()
  -- CLN-08
  it("is released by the last that leaves", function()
    for _, policy in ipairs(policies) do
      local service = services.start { workers = 2, settings = { scheduling_policy = policy } }
      service:eval "cluster.workers[1]:disconnect()"
      service:await_exit(1)
      assert.same({ ["2"] = 20 }, service:ask(20))
      service:eval "cluster.workers[2]:disconnect()"
      service:await_exit(2)
      eventually(function()
        return is_refused(service.port)
      end)
      finish(service)
    end
  end)

  it("is released by the last that dies, unless a successor is on its way", function()
    for _, policy in ipairs(policies) do
      local service = services.start {
        workers = 1,
        settings = { scheduling_policy = policy },
        setup = "cluster.on('exit', function(worker) if worker.id < 3 then cluster.fork() end end)",
      }
      local asking = service:asking()
      for id = 1, 2 do
        service:signal(id, "SIGKILL")
        service:await_exit(id)
        asking:start(20)
        eventually(function()
          return service.listening[id + 1]
        end)
        asking:finish()
      end
      assert.equal(0, asking.failures)
      service:kill(3)
      eventually(function()
        return is_refused(service.port)
      end)
      finish(service)
    end
  end)

  it("waits for the successor of a worker whose end takes longer than that of its way", function()
    local ending = services.telling
      .. [[
        process.on("message", function()
          local seqpacket = {}
          for inode in io.open("/proc/net/unix"):read("a"):gmatch ": %x+ %x+ %x+ 0005 %x+%s+(%d+)" do
            seqpacket["socket:[" .. inode .. "]"] = true
          end
          for name in require("luv").fs_scandir_next, require("luv").fs_scandir "/proc/self/fd" do
            if seqpacket[require("luv").fs_readlink("/proc/self/fd/" .. name) or ""] then
              require("mw.core.fd").close(tonumber(name))
            end
          end
          mw.timers.set_timeout(process.kill, 100, process.pid, "SIGKILL")
        end)
      ]]
    for _, policy in ipairs(policies) do
      local service = services.start {
        workers = 1,
        worker = ending,
        settings = { scheduling_policy = policy },
        setup = "cluster.on('exit', function(worker) if worker.id < 2 then cluster.fork() end end)",
      }
      service:eval "cluster.workers[1]:send 'end'"
      service:await_exit(1)
      assert.same({ ["2"] = 20 }, service:ask(20))
      service:stop()
    end
  end)
end)

describe("A worker without descriptors to spare", function()
  local fill = [[
    fillers = {}
    repeat
      local file = io.open "/dev/null"
      fillers[#fillers + 1] = file
    until not file
    tell()
  ]]

  it("is refused, and others serve; it may try again", function()
    local service = start("rr", 2)
    local port = listen(service, 1, "0, '127.0.0.1'")
    listen(service, 2, ("{ host = '127.0.0.1', port = %d, exclusive = true }"):format(port)) -- loads what it takes
    service:inside(2, fill)
    local _, code = listen(service, 2, "0, '127.0.0.1'")
    assert.equal("EMFILE", code)
    service.port = port
    assert.same({ ["1"] = 20 }, service:ask(20))
    service:inside(2, "for _, file in ipairs(fillers) do file:close() end tell()")
    assert.equal(port, listen(service, 2, "0, '127.0.0.1'"))
    eventually(function()
      return service:ask(4)["2"]
    end)
    finish(service)
  end)

  it("refuses what it can't be given, until it can", function()
    local service = start("rr", 2)
    local port = listen(service, 1, "0, '127.0.0.1'")
    listen(service, 2, "0, '127.0.0.1'")
    service:inside(2, fill)
    service.port = port
    assert.same({ ["1"] = 50 }, service:ask(50))
    service:inside(2, "for _, file in ipairs(fillers) do file:close() end tell()")
    eventually(function()
      return service:ask(4)["2"]
    end)
    finish(service)
  end)
end)
