-- Which worker gets a connection, by policy.

local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local net = require "mw.net"
local services = require "spec.support.services"

after_each(clusters.clean)

local function start(policy, opts)
  opts = opts or {}
  opts.settings = { scheduling_policy = policy, serialization = opts.serialization }
  return services.start(opts)
end

local function finish(service)
  assert.equal("", service:stop())
end

-- A busy machine lets a worker wait so long that others are given what it was to
-- have: then the next try counts.
local function assert_even_at_once(service, count, workers, is_http)
  eventually(function()
    local total, difference = services.spread(service:ask(count, nil, is_http), workers)
    assert.equal(count, total)
    return difference <= 1
  end)
end

-- Connections that stay open, with the ids of the workers that have them.
local function hold(service, count)
  local held = {}
  for index = 1, count do
    local client = net.connect(service.port, "127.0.0.1")
    held[index] = { client = client }
    client:on("data", function(id)
      held[index].id = id
    end)
  end
  eventually(function()
    for _, each in ipairs(held) do
      if not each.id then
        return false
      end
    end
    return true
  end)
  return held
end

local function count_by_worker(held)
  local counts = {}
  for _, each in ipairs(held) do
    counts[each.id] = (counts[each.id] or 0) + 1
  end
  return counts
end

local holding = [[
  mw.net.create_server(function(socket)
    socket:on("error", function() end)
    socket:write(tostring(worker.id))
    socket:resume()
  end):listen(0, "127.0.0.1")
]]

describe("SCHED_RR", function()
  -- CLN-03
  for _, serialization in ipairs { "msgpack", "json" } do
    it(("gives each worker as many as another (%s)"):format(serialization), function()
      local service = start("rr", { serialization = serialization })
      assert_even_at_once(service, 400, 4)
      finish(service)
    end)
  end

  it("gives each HTTP server as many as another", function()
    local service = start("rr", { worker = services.telling_http })
    local one_by_one = {}
    for _ = 1, 22 do
      local id = next(service:ask(1, nil, true))
      one_by_one[id] = (one_by_one[id] or 0) + 1
    end
    local _, difference = services.spread(one_by_one, 4)
    assert(difference <= 1)
    assert_even_at_once(service, 400, 4, true)
    finish(service)
  end)

  it("leaves a worker that is stuck with a few, and the rest answer all others", function()
    local service = start("rr", {
      workers = 3,
      worker = services.telling .. [[
        process.on("message", function()
          while true do end
        end)
      ]],
    })
    service:eval "cluster.workers[1]:send 'get stuck'"
    local asking = service:asking()
    asking:start(200)
    eventually(function()
      return asking.over >= 196
    end)
    service:signal(1, "SIGKILL")
    local answers = asking:finish()
    assert.equal(0, asking.failures)
    assert((answers["1"] or 0) <= 4)
    assert.equal(200, (services.spread(answers, 3)))
    finish(service)
  end)
end)

describe("SCHED_LEAST", function()
  local function close(held)
    for _, each in ipairs(held) do
      each.client:destroy()
    end
  end

  -- Of a busy machine, the next try counts.
  local function hold_evenly(service)
    local held
    eventually(function()
      held = hold(service, 40)
      for _, count in pairs(count_by_worker(held)) do
        if count > 12 then
          close(held)
          return false
        end
      end
      return true
    end)
    return held
  end

  it("keeps the numbers of open connections together, and notices which have closed", function()
    local service = start("least", { worker = holding })
    local held = hold_evenly(service)
    for _, each in ipairs(held) do
      if each.id == "1" then
        each.client:destroy()
      end
    end
    eventually(function()
      local fresh = hold(service, 6)
      close(fresh)
      return count_by_worker(fresh)["1"] == 6
    end)
    close(held)
    finish(service)
  end)
end)

describe("SCHED_STICKY", function()
  local function homes(service)
    local found = {}
    for number = 1, 30 do
      local host = "127.0.0." .. number
      local answers = service:ask(3, { local_address = host })
      local id, count = next(answers)
      assert.equal(3, count)
      found[host] = service.listening[math.tointeger(tonumber(id))].slot
    end
    return found
  end

  it("brings a client to the same worker, and to its replacement", function()
    local service = start "sticky"
    local before = homes(service)
    local slots, count = {}, 0
    for _, slot in pairs(before) do
      count = count + (slots[slot] and 0 or 1)
      slots[slot] = true
    end
    assert(count >= 3, count)
    service:kill(2)
    service:fork(1)
    assert.equal(2, service.listening[5].slot)
    assert.same(before, homes(service))
    finish(service)
  end)

  it("moves only the clients of a worker that has left", function()
    local service = start "sticky"
    local before = homes(service)
    service:eval "cluster.workers[3]:disconnect()"
    service:await_exit(3)
    for host, slot in pairs(homes(service)) do
      assert(slot ~= 3)
      assert(slot == before[host] or before[host] == 3)
    end
    finish(service)
  end)
end)

describe("SCHED_NONE", function()
  local function wakes_exclusively(pid)
    for line in io.popen(("grep -h tfd /proc/%d/fdinfo/* 2>/dev/null"):format(pid)):lines() do
      local events = tonumber(line:match "events:%s*(%x+)" or "", 16)
      if events and events & 1 << 28 ~= 0 then
        return true
      end
    end
    return false
  end

  -- CLN-04
  it("lets workers accept by themselves, one woken for each connection", function()
    local service = start "none"
    assert.equal(200, (services.spread(service:ask(200), 4)))
    for id = 1, 4 do
      local pid = service:pid(id)
      eventually(function()
        return wakes_exclusively(pid)
      end)
    end
    finish(service)
  end)
end)

describe("SCHED_REUSEPORT", function()
  local function listening_sockets(port)
    local count = 0
    for line in io.lines "/proc/net/tcp" do
      local number, state = line:match "^%s*%d+: %x+:(%x+) %x+:%x+ (%x+)"
      if number and tonumber(number, 16) == port and state == "0A" then
        count = count + 1
      end
    end
    return count
  end

  it("has one listening socket for each worker, also after a replacement", function()
    local service = start "reuseport"
    assert.equal(4, listening_sockets(service.port))
    assert.equal(400, (services.spread(service:ask(400), 4)))
    service:kill(1)
    service:fork(1)
    assert.equal(4, listening_sockets(service.port))
    assert.equal(100, (services.spread(service:ask(100), 4)))
    finish(service)
  end)

  it("passes on what comes at the socket of a worker that has gone", function()
    local service = start("reuseport", { workers = 3 })
    service:kill(1)
    service:eval "cluster.workers[2]:disconnect()"
    service:await_exit(2)
    assert.same({ ["3"] = 200 }, service:ask(200))
    finish(service)
  end)
end)

describe("A function as policy", function()
  it("gets the workers that are ready and the connection, and names one", function()
    local service = services.start {
      setup = [[
        seen = {}
        settings = { scheduling_policy = function(workers, connection)
          seen = connection
          for _, worker in ipairs(workers) do
            assert(#workers == 4 and worker == cluster.workers[worker.id])
          end
          return cluster.workers[3]
        end }
      ]],
    }
    assert.same({ ["3"] = 20 }, service:ask(20, { local_address = "127.0.0.9" }))
    local seen = service:eval "return seen"
    assert(seen.remote_port > 0)
    seen.remote_port = nil
    assert.same({ remote_address = "127.0.0.9", local_address = "127.0.0.1", local_port = service.port }, seen)
    finish(service)
  end)

  it("that raises or names no worker leaves the connection to round robin, and is reported", function()
    for _, body in ipairs { "error 'no idea'", "return 5", "", "return {}" } do
      local service = services.start {
        setup = ([[
          reports = {}
          process.on("uncaught_exception", function(err) reports[#reports + 1] = tostring(err) end)
          settings = { scheduling_policy = function() %s end }
        ]]):format(body),
      }
      assert_even_at_once(service, 40, 4)
      local reports = service:eval "return reports"
      assert(#reports > 0 and #reports % 40 == 0, #reports)
      assert.matches(body:match "error" and "no idea" or "returned no worker", reports[1])
      finish(service)
    end
  end)

  it("may let workers go, and fork", function()
    local service = services.start {
      workers = 2,
      setup = [[
        local calls = 0
        settings = { scheduling_policy = function(workers)
          calls = calls + 1
          if calls == 1 then
            workers[1]:disconnect()
          elseif calls == 2 then
            cluster.fork()
          elseif calls == 3 then
            workers[1]:kill "SIGKILL"
          end
          return workers[1]
        end }
      ]],
    }
    local asking = service:asking()
    for _ = 1, 30 do
      asking:start(1)
      asking:finish()
    end
    assert.equal(0, asking.failures)
    service:await_exit(1)
    finish(service)
  end)
end)

describe("The policy", function()
  -- CLN-05
  it("is named by the environment", function()
    for _, word in ipairs { "rr", "none", "least", "reuseport", "sticky" } do
      assert.equal(
        word .. "\n",
        clusters.run("print(cluster.scheduling_policy)", nil, {
          env = { MW_CLUSTER_SCHED_POLICY = word, MWRUN_LUA_DIR = os.getenv "MWRUN_LUA_DIR" },
        })
      )
    end
  end)

  it("counts from the first fork on, whatever is set later", function()
    local service = start "rr"
    service:eval "cluster.scheduling_policy = 'sticky' cluster.setup_master { scheduling_policy = 'sticky' }"
    service:fork(1)
    assert_even_at_once(service, 50, 5)
    finish(service)
  end)
end)
