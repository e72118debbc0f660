-- A set of workers on a fake clock and a fake backend.

local FakeBackend = require "spec.support.fake_backend"
local FakeClock = require "spec.support.fake_clock"
local WorkerSet = require "mw.supervisor.worker_set"
local heritage = require "mw.supervisor.heritage"
local msgpack = require "mw.msgpack"

local defaults = {
  workers = 2,
  restart = { limit = 5, window = 60000, delay = 100, max_delay = 30000 },
  heartbeat = { interval = 1000, timeout = 10000 },
  ready = "listening",
  ready_timeout = 10000,
  graceful_timeout = 5000,
}

local M = {}

---@class spec.FakeSet
---@field set mw.WorkerSet
---@field clock spec.FakeClock
---@field backend spec.FakeBackend
---@field events table[] each as { name, values... }
---@field log string[]
---@field records mw.WorkerFailure[]
---@field over boolean[] what on_over was told
local FakeSet = {}
FakeSet.__index = FakeSet

local function new(opts, clock)
  local settings = {}
  for _, source in ipairs { defaults, opts or {} } do
    for key, value in pairs(source) do
      settings[key] = value
    end
  end
  local self = setmetatable({ events = {}, log = {}, records = {}, over = {} }, FakeSet)
  self.clock, self.backend = clock, FakeBackend.new()
  self.set = WorkerSet.new(settings, {
    clock = self.clock,
    backend = self.backend,
    random = function()
      return 0.5
    end,
    emit = function(...)
      table.insert(self.events, { ... })
    end,
    log = function(text)
      table.insert(self.log, text)
    end,
    record = function(_, failure)
      table.insert(self.records, failure)
    end,
    on_settled = function() end,
    on_over = function(has_given_up)
      table.insert(self.over, has_given_up)
    end,
  })
  return self
end

--- Makes a set and starts its workers, which are not ready yet.
---@param opts? table settings other than the defaults
---@return spec.FakeSet
function M.start(opts)
  local self = new(opts, FakeClock.new())
  self.set:reconcile()
  return self
end

--- A set that goes on where another has been, of which nothing happens any more.
---@param before spec.FakeSet
---@param opts? table settings
---@return spec.FakeSet
function M.succeed(before, opts)
  local from = msgpack.decode(msgpack.encode(heritage.of(before.set)))
  local clock = FakeClock.new()
  clock:skip(before.clock:now() - clock:now())
  local self = new(opts, clock)
  heritage.adopt(self.set, from)
  self.set:reconcile()
  return self
end

--- A set whose workers are all ready.
---@param opts? table
---@return spec.FakeSet
function M.ready(opts)
  local self = M.start(opts)
  for _, worker in ipairs(self.backend:running()) do
    worker:become_ready()
  end
  self.events = {}
  return self
end

--- A worker by its id.
---@param id integer
---@return spec.FakeWorker
function FakeSet:worker(id)
  return self.backend.started[id]
end

--- How many have been started.
---@return integer
function FakeSet:starts()
  return #self.backend.started
end

--- What users see of the workers, as "id:slot:state" in the order of slots.
---@return string
function FakeSet:shape()
  local parts = {}
  for index, worker in ipairs(self.set:list()) do
    parts[index] = ("%d:%d:%s"):format(worker.id, worker.slot, worker.state)
  end
  return table.concat(parts, " ")
end

--- The events so far, as words; workers by their id.
---@return string
function FakeSet:told()
  local parts = {}
  for index, event in ipairs(self.events) do
    local subject = type(event[2]) == "table" and event[2].id or event[2]
    parts[index] = subject == nil and event[1] or event[1] .. ":" .. tostring(subject)
  end
  return table.concat(parts, " ")
end

--- Lets time pass while all workers that are not in `silent` beat.
---@param ms integer
---@param silent? table<spec.FakeWorker, true>
function FakeSet:beat_for(ms, silent)
  for _ = 1, ms // 500 do
    for _, worker in ipairs(self.backend:running()) do
      if not (silent and silent[worker]) then
        worker.report("beat", {})
      end
    end
    self.clock:advance(500)
  end
end

return M
