-- A dispatcher and its workers in one process, without a cluster around them.

local dispatcher = require "mw.core.dispatcher"
local eventually = require "spec.support.eventually"
local fd = require "mw.core.fd"
local intake = require "mw.core.intake"
local net = require "mw.net"
local socket = require "mw.core.socket"

local M = {}

local key = 7

---@class spec.Dispatching
---@field port integer
---@field workers spec.DispatchingWorker[]
local Dispatching = {}
Dispatching.__index = Dispatching

---@class spec.DispatchingWorker
---@field taken integer how many connections it has had
---@field room number how many more it takes; no limit at first
---@field asked integer how often it was asked for its room
---@field held integer[] what it has open, where `holds`
---@field holds boolean? whether it keeps what it takes open
---@field ended boolean? whether the dispatcher's side has heard of its end
---@field descriptor integer? its end, where nobody reads there

local function sink(worker)
  return {
    room = function()
      worker.asked = worker.asked + 1
      return worker.room
    end,
    open = function()
      return #worker.held
    end,
    take = function(descriptor)
      worker.taken, worker.room = worker.taken + 1, worker.room - 1
      if worker.holds then
        table.insert(worker.held, descriptor)
      else
        fd.close(descriptor)
      end
    end,
  }
end

--- Adds a worker; `is_stuck`: it reads nothing, and its end is `descriptor`.
---@param is_stuck? boolean
---@return spec.DispatchingWorker
function Dispatching:add(is_stuck)
  local ours, theirs = assert(dispatcher.pair())
  local worker = { taken = 0, asked = 0, room = math.huge, held = {} }
  worker.outlet = assert(dispatcher.outlet(ours, function()
    worker.ended = true
    worker.outlet:close()
  end))
  if is_stuck then
    worker.descriptor = theirs
  else
    worker.intake = assert(intake.intake(theirs, self._policy == "least", function() end))
    assert(worker.intake:serve(key, sink(worker)))
  end
  table.insert(self.workers, worker)
  assert(self._dispatcher:add(worker.outlet, #self.workers))
  return worker
end

--- Ends a worker as its death does.
---@param worker spec.DispatchingWorker
function M.kill(worker)
  if worker.intake then
    worker.intake:close()
  elseif worker.descriptor then
    fd.close(worker.descriptor)
  end
  worker.intake, worker.descriptor = nil, nil
end

--- Connects so many times; each is counted in `ended` when its end comes.
---@param count integer
---@param host? string whose address the client has
function Dispatching:connect(count, host)
  for _ = 1, count do
    local client = net.connect { port = self.port, host = "127.0.0.1", local_address = host }
    self.clients[client] = true
    client:on("close", function()
      self.ended, self.clients[client] = self.ended + 1, nil
    end)
    client:on("error", function() end)
    client:resume()
  end
end

--- Waits until so many connections have ended.
---@param count integer
function Dispatching:await(count)
  eventually(function()
    return self.ended >= count
  end)
end

--- How many connections each worker has had.
---@return integer[]
function Dispatching:counts()
  local counts = {}
  for index, worker in ipairs(self.workers) do
    counts[index] = worker.taken
  end
  return counts
end

--- Ends the dispatcher alone.
function Dispatching:close_dispatcher()
  self._dispatcher:close()
end

--- Ends all of it.
function Dispatching:close()
  for client in pairs(self.clients) do
    client:destroy()
  end
  self:close_dispatcher()
  for _, worker in ipairs(self.workers) do
    M.kill(worker)
    for _, descriptor in ipairs(worker.held) do
      fd.close(descriptor)
    end
  end
  eventually(function()
    return next(self.clients) == nil
  end)
  for _, worker in ipairs(self.workers) do
    eventually(function()
      return worker.ended
    end)
  end
end

--- Opens a dispatcher with workers that close what they take.
---@param policy string
---@param count integer
---@param pick? fun(outlets: userdata[], fd: integer): userdata?
---@return spec.Dispatching
function M.open(policy, count, pick)
  local listening = assert(socket.bind("tcp", "127.0.0.1", 0, {}))
  assert(socket.listen(listening, 511))
  local port = socket.names(listening).port
  local self = setmetatable({ port = port, workers = {}, clients = {}, ended = 0, _policy = policy }, Dispatching)
  self._dispatcher = assert(dispatcher.dispatcher(listening, key, policy, pick))
  for _ = 1, count do
    self:add()
  end
  return self
end

return M
