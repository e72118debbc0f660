-- Connections outlive the workers that were to have them.

local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local http = require "mw.http"
local leaks = require "spec.support.leaks"
local net = require "mw.net"
local proc = require "spec.support.proc"
local services = require "spec.support.services"

after_each(clusters.clean)

local policies = { "rr", "none", "least", "reuseport", "sticky" }

local function finish(service)
  assert.equal("", service:stop())
end

-- Writes down whom each worker has served.
local function logging_worker(path)
  return ([[
    local log = io.open(%q, "a")
    log:setvbuf "no"
    mw.net.create_server(function(socket)
      log:write(socket.remote_address .. "\n")
      socket:on("error", function() end)
      socket:finish(tostring(worker.id))
      socket:resume()
    end):listen(0, "127.0.0.1")
  ]]):format(path)
end

-- How often each client was served.
local function served(path)
  local counts = {}
  for address in io.lines(path) do
    counts[address] = (counts[address] or 0) + 1
  end
  return counts
end

-- What was cut was inside of a worker that was killed: in its handler or, where
-- the master accepts, one of the few that a worker says yes to at once. Who
-- accepts by itself may have more.
local function assert_cut_inside(asking, log, most_before)
  local counts, before = served(log), 0
  for address, count in pairs(counts) do
    assert(count == 1, address .. " was served twice")
  end
  for address in pairs(asking.lost) do
    before = before + (counts[address] and 0 or 1)
  end
  assert(before <= most_before, ("%d connections were lost, %d cut"):format(before, asking.failures - before))
end

describe("A worker that is killed", function()
  for _, policy in ipairs(policies) do
    it(("loses nobody's connection but those inside of it (%s)"):format(policy), function()
      local log = clusters.write("served.log", "")
      local service = services.start {
        worker = logging_worker(log),
        settings = { scheduling_policy = policy },
        setup = "cluster.on('exit', function(_, _, signal) if signal then cluster.fork() end end)",
      }
      local asking = service:asking()
      local rounds = 10
      for id = 1, rounds do
        asking:start_apart(10)
        if id % 2 == 0 then
          service:signal(id, "SIGSTOP")
          asking:start_apart(20)
        end
        service:signal(id, "SIGKILL")
        asking:start_apart(10)
        service:await_exit(id)
        eventually(function()
          return service.listening[id + 4]
        end)
      end
      asking:finish()
      local is_master_accepting = policy ~= "none" and policy ~= "reuseport"
      assert_cut_inside(asking, log, rounds * (is_master_accepting and 2 or 20))
      finish(service)
    end)
  end

  for _, policy in ipairs(policies) do
    it(("loses nothing where it was stopped before (%s)"):format(policy), function()
      local service = services.start { settings = { scheduling_policy = policy } }
      local asking = service:asking()
      for id = 1, 3 do
        local pid = service:pid(id)
        service:signal(id, "SIGSTOP")
        eventually(function()
          return proc.stat(pid).state == "T"
        end)
        asking:start_apart(40)
        local before = asking.over
        eventually(function()
          return asking.over > before
        end)
        service:kill(id)
        asking:finish() -- the next one is to be stopped with none inside
      end
      assert.equal(0, asking.failures)
      assert.equal(120, (services.spread(asking.answers, 4)))
      finish(service)
    end)
  end
end)

describe("A worker that disconnects", function()
  for _, policy in ipairs(policies) do
    it(("loses nothing, whoever asks it to (%s)"):format(policy), function()
      for _, worker in ipairs { services.telling, services.telling_http } do
        local is_http = worker == services.telling_http
        local service = services.start {
          worker = worker .. "process.on('message', function() worker:disconnect() end)",
          settings = { scheduling_policy = policy },
        }
        local asking = service:asking(is_http)
        for id = 1, 8 do
          asking:start(15)
          service:eval(("cluster.workers[%d]:%s"):format(id, id % 2 == 0 and "disconnect()" or "send('leave')"))
          asking:start(15)
          service:fork(1)
        end
        asking:finish()
        assert.equal(0, asking.failures)
        finish(service)
      end
    end)
  end
end)

describe("Workers at their limit", function()
  -- CLN-06
  it("of 0, 1 and 9 connections share ten clients, and no two", function()
    for _, policy in ipairs { "rr", "least", "sticky" } do
      local service = services.start {
        workers = 3,
        settings = { scheduling_policy = policy },
        worker = [[
          local server = mw.net.create_server(function(socket)
            socket:on("error", function() end)
            socket:write(tostring(worker.id))
            socket:resume()
          end)
          server:on("drop", function() process.send "dropped" end)
          server.max_connections = ({ 0, 1, 9 })[worker.id]
          server:listen(0, "127.0.0.1")
        ]],
      }
      local clients, counts, total = {}, {}, 0
      for index = 1, 10 do
        clients[index] = net.connect(service.port, "127.0.0.1")
        clients[index]:on("data", function(id)
          counts[id], total = (counts[id] or 0) + 1, total + #id
        end)
      end
      eventually(function()
        return total == 10
      end)
      assert.same({ ["2"] = 1, ["3"] = 9 }, counts)
      local late = net.connect(service.port, "127.0.0.1")
      assert(late:wait "connect")
      clients[1]:destroy()
      assert(late:read())
      late:destroy()
      for _, client in ipairs(clients) do
        client:destroy()
      end
      assert.same({}, service.told)
      finish(service)
    end
  end)

  it("answer 503 by HTTP, once all are", function()
    local service = services.start {
      workers = 3,
      worker = [[
        mw.http.create_server({ max_connections = worker.id }, function(_, res)
          res:finish(tostring(worker.id))
        end):listen(0, "127.0.0.1")
      ]],
    }
    local statuses, clients, over = {}, {}, 0
    local function ask()
      local client = net.connect(service.port, "127.0.0.1")
      client:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
      client:on("data", function(text)
        local status = text:match "^HTTP/1.1 (%d+)"
        if status then
          statuses[status], over = (statuses[status] or 0) + 1, over + 1
        end
      end)
      client:on("error", function() end)
      clients[#clients + 1] = client
    end
    for count = 1, 6 do
      ask()
      eventually(function()
        return over == count
      end)
    end
    assert.same({ ["200"] = 6 }, statuses)
    for _ = 1, 3 do
      ask()
    end
    eventually(function()
      return over == 9
    end)
    assert.same({ ["200"] = 6, ["503"] = 3 }, statuses)
    for _, client in ipairs(clients) do
      client:destroy()
    end
    eventually(function()
      local res = http.get { port = service.port, host = "127.0.0.1", agent = false }
      local status = res.status_code
      res:destroy()
      return status == 200
    end)
    finish(service)
  end)
end)

describe("A master that is killed", function()
  it("takes its workers along", function()
    for _, policy in ipairs(policies) do
      local service = services.start { workers = 2, settings = { scheduling_policy = policy } }
      service:ask(4)
      local pids = { service:pid(1), service:pid(2) }
      service.child:kill "SIGKILL"
      service.child:wait "close"
      eventually(function()
        return not proc.is_alive(pids[1]) and not proc.is_alive(pids[2])
      end)
    end
  end)
end)

describe("Descriptors", function()
  local function count(pid)
    local number = 0
    for _ in pairs(leaks.descriptors(pid)) do
      number = number + 1
    end
    return number
  end

  for _, policy in ipairs(policies) do
    it(("do not become more with workers and connections (%s)"):format(policy), function()
      local service = services.start { workers = 2, settings = { scheduling_policy = policy } }
      local before, restarts = nil, 24
      for round = 1, restarts do
        local id = service:fork(1)
        if round % 2 == 0 then
          service:signal(id - 2, "SIGKILL")
        else
          service:eval(("cluster.workers[%d]:disconnect()"):format(id - 2))
        end
        service:ask(round % 2 == 0 and 0 or 10)
        service:await_exit(id - 2)
        before = before or count(service.child.pid)
      end
      service:ask(300)
      eventually(function()
        return count(service.child.pid) <= before + 1
      end)
      local worker = service:pid(restarts + 2)
      local many = count(worker)
      service:ask(300)
      eventually(function()
        return count(worker) <= many + 1
      end)
      finish(service)
    end)
  end
end)
