-- Clusters that serve connections, and clients that ask them. The master is
-- another process, which does what a test tells it.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local net = require "mw.net"

local M = {}

---@class spec.Service
---@field child mw.Child the master
---@field port integer where the workers listen
---@field listening table<integer, table> where each worker listens, and its slot, by id
---@field exits table<integer, table>
---@field told table<integer, any> what each worker has sent last
local Service = {}
Service.__index = Service

local master_script = [[
  local mw = require "mw"
  local cluster, process = mw.cluster, mw.process
  assert(cluster.is_master)
  cluster.on("listening", function(worker, address)
    process.send { "listening", worker.id, { slot = worker.slot, port = address.port, address = address.address } }
  end)
  cluster.on("message", function(worker, message)
    process.send { "told", worker.id, message }
  end)
  cluster.on("exit", function(worker, code, signal)
    process.send { "exits", worker.id, { code = code, signal = signal } }
  end)
  local shared = setmetatable({ mw = mw, cluster = cluster, process = process, settings = {} }, { __index = _G })
  process.on("message", function(code)
    process.send { "answer", 1, table.pack(assert(load(code, "=(test)", "t", shared))()) }
  end)
  process.on("disconnect", function() process.exit(0) end)
]]

local worker_prelude = [[
  local mw = require "mw"
  local cluster, process = mw.cluster, mw.process
  local worker = assert(cluster.worker)
]]

--- A worker that runs what it is told; `tell(...)` answers.
M.obeying = [[
  local function tell(...)
    local told = { count = select("#", ...) }
    for index = 1, told.count do
      told["value" .. index] = select(index, ...)
    end
    process.send(told)
  end
  local shared = setmetatable({ mw = mw, cluster = cluster, process = process, worker = worker, tell = tell }, { __index = _G })
  process.on("message", function(code)
    assert(load(code, "=(test)", "t", shared))()
  end)
  process.send "ready"
]]

--- A worker that tells each client its id.
M.telling = [[
  local server = mw.net.create_server(function(socket)
    socket:on("error", function() end)
    socket:finish(tostring(worker.id))
    socket:resume()
  end)
  server:listen(0, "127.0.0.1")
]]

--- The same, by HTTP.
M.telling_http = [[
  local server = mw.http.create_server(function(_, res)
    res:finish(tostring(worker.id))
  end)
  server:listen(0, "127.0.0.1")
]]

--- The script of a worker, from what it does.
---@param code string
---@return string
function M.worker(code)
  return worker_prelude .. code
end

--- Starts a master, and as many workers, all of which must listen.
---@param opts { workers: integer?, worker: string?, settings: table?, setup: string? } `setup`: what the master runs first
---@return spec.Service
function M.start(opts)
  local master = clusters.write("service.lua", master_script)
  local worker = clusters.write("serving.lua", M.worker(opts.worker or M.telling))
  local child = child_process.fork(master, {}, { silent = true })
  local self = setmetatable({ child = child, listening = {}, exits = {}, told = {} }, Service)
  self._stderr, self._closed = children.collect(child.stderr), children.record(child, { "close" })
  child.stdout:resume()
  child:on("message", function(message)
    if message[1] == "answer" then
      self._answer = message[3]
    else
      self[message[1]][message[2]] = message[3]
    end
    self.port = message[1] == "listening" and message[3].port or self.port
  end)
  for name, value in pairs(opts.settings or {}) do
    self:eval(("settings[%q] = %q"):format(name, value))
  end
  self:eval((opts.setup or "") .. (" settings.exec = %q cluster.setup_master(settings)"):format(worker))
  self:fork(opts.workers or 4)
  return self
end

--- Runs a piece of Lua in the master and returns what it returns.
---@param code string
---@return any ...
function Service:eval(code)
  self._answer = nil
  self.child:send(code)
  local answer = eventually(function()
    return self._answer
  end)
  return table.unpack(answer, 1, answer.n)
end

--- Runs a piece of Lua in a worker that obeys, and returns what it tells.
---@param id integer
---@param code string
---@return any ...
function Service:inside(id, code)
  self.told[id] = nil
  self.child:send(("cluster.workers[%d]:send(%q)"):format(id, code))
  local told = eventually(function()
    return self.told[id]
  end)
  local values = {}
  for index = 1, told.count do
    values[index] = told["value" .. index]
  end
  return table.unpack(values, 1, told.count)
end

--- Starts workers, and waits until they listen, or are ready to obey.
---@param count integer
---@return integer last the id of the last one
function Service:fork(count)
  local last = self:eval(("local last for _ = 1, %d do last = cluster.fork().id end return last"):format(count))
  if last then
    eventually(function()
      for id = last - count + 1, last do
        if not (self.listening[id] or self.told[id] or self.exits[id]) then
          return false
        end
      end
      return true
    end)
  end
  return last
end

---@param id integer
---@return integer
function Service:pid(id)
  return self:eval(("return cluster.workers[%d].process.pid"):format(id))
end

--- Sends a signal to a worker.
---@param id integer
---@param signal string
function Service:signal(id, signal)
  self:eval(("process.kill(cluster.workers[%d].process.pid, %q)"):format(id, signal))
end

--- Kills a worker and waits until the master knows.
---@param id integer
function Service:kill(id)
  self:signal(id, "SIGKILL")
  self:await_exit(id)
end

---@param id integer
---@return table
function Service:await_exit(id)
  return eventually(function()
    return self.exits[id]
  end)
end

---@class spec.Asking what clients have been told
---@field started integer
---@field over integer connections that have ended
---@field answers table<string, integer> how often each was given
---@field failures integer connections that ended without an answer
---@field lost table<string, true> their addresses here
local Asking = {}
Asking.__index = Asking

local function note(asking, text, address)
  asking.over = asking.over + 1
  if text == "" then
    asking.failures, asking.lost[address or ""] = asking.failures + 1, true
  else
    asking.answers[text] = (asking.answers[text] or 0) + 1
  end
end

--- Lets so many more clients connect, each of which reads to the end.
---@param count integer
---@param opts? table of net.connect()
function Asking:start(count, opts)
  for _ = 1, count do
    self.started = self.started + 1
    local text = ""
    local all = { port = self._port, host = "127.0.0.1" }
    for name, value in pairs(opts or {}) do
      all[name] = value
    end
    local client = net.connect(all)
    if self._request then
      client:write(self._request)
    end
    client:on("data", function(piece)
      text = text .. piece
    end)
    client:on("error", function(err)
      self.error = err
    end)
    client:on("close", function()
      note(self, text:match "[^\n]*$", all.local_address)
    end)
  end
end

--- The same, each from an address of its own.
---@param count integer
function Asking:start_apart(count)
  for _ = 1, count do
    local number = self.started + 1
    self:start(1, { local_address = ("127.1.%d.%d"):format(number // 250, number % 250 + 1) })
  end
end

--- Waits until all have ended, and returns the answers.
---@param timeout? integer
---@return table<string, integer>
function Asking:finish(timeout)
  eventually(function()
    return self.over == self.started
  end, timeout or 20000)
  return self.answers
end

local http_request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

--- Clients of the service, none of them yet.
---@param is_http? boolean
---@return spec.Asking
function Service:asking(is_http)
  local request = is_http and http_request or nil
  local counts = { started = 0, over = 0, failures = 0, answers = {}, lost = {} }
  counts._port, counts._request = self.port, request
  return setmetatable(counts, Asking)
end

--- Lets so many clients connect at once, waits for all, and returns how often
--- each answer was given; none may be missing.
---@param count integer
---@param opts? table of net.connect()
---@param is_http? boolean
---@return table<string, integer>
function Service:ask(count, opts, is_http)
  local asking = self:asking(is_http)
  asking:start(count, opts)
  local answers = asking:finish()
  assert(asking.failures == 0, ("%d failures: %s"):format(asking.failures, asking.error))
  return answers
end

--- Lets all workers go, ends the master, and returns what was complained.
---@return string stderr
function Service:stop()
  self:eval "local done cluster.disconnect(function() process.send { 'exits', 0, {} } end)"
  self:await_exit(0)
  self.child:disconnect()
  local close = children.closed(self._closed)
  assert(close[2] == 0, ("ended with %s, %s: %s"):format(close[2], close[3], self._stderr()))
  return self._stderr()
end

--- The sum and the difference of the greatest and the smallest count; who is
--- not in there has had none.
---@param answers table<string, integer>
---@param workers integer
---@return integer total
---@return integer difference
function M.spread(answers, workers)
  local total, most, fewest, count = 0, 0, math.huge, 0
  for _, number in pairs(answers) do
    total, count = total + number, count + 1
    most, fewest = math.max(most, number), math.min(fewest, number)
  end
  return total, most - (count < workers and 0 or fewest)
end

return M
