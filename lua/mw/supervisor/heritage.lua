-- What the next image of the master must know of a set of workers, and how a
-- new set goes on from there.

local Slot = require "mw.supervisor.slot"
local Worker = require "mw.supervisor.worker"

local M = {}

---@class mw.SetHeritage plain values, which can be encoded; times are of a clock that both have
---@field wanted integer
---@field workers_option integer from which `wanted` has come, or been scaled away
---@field reloads integer that wait
---@field slots table[]
---@field workers table[]
---@field backend table the backend's own

local set_fields = { "wanted", "generation", "last_generation", "restarts", "was_ready", "notification" }

local worker_fields = {
  "id",
  "slot",
  "generation",
  "state",
  "started_at",
  "ready_at",
  "last_beat",
  "vitals",
  "messages",
  "is_plain",
  "limits",
  "replace_reason",
  "deadline",
}

local slot_fields = { "number", "done_generation", "failure_count", "failure", "deadline" }

local function copy(from, to, fields)
  for _, name in ipairs(fields) do
    to[name] = from[name]
  end
  return to
end

--- Whether a set can be handed on: it is not to stop, no reload has begun, every
--- worker has a process, and none is still to be taken over.
---@param set mw.WorkerSet
---@return boolean
function M.is_calm(set)
  for worker in pairs(set.workers) do
    if not worker.pid then
      return false
    end
  end
  return not set.is_stopping and not set.is_gathering and not set.reload
end

--- The backend's handles of all workers.
---@param set mw.WorkerSet
---@return table[]
function M.handles(set)
  local handles = {}
  for index, worker in ipairs(set:list()) do
    handles[index] = worker.handle
  end
  return handles
end

local function role_of(set, worker)
  local slot = set:slot_of(worker)
  return slot and (slot.holder == worker and "holder" or "successor")
end

--- All that there is to know, of a set that is calm.
---@param set mw.WorkerSet
---@return mw.SetHeritage
function M.of(set)
  local from = { workers_option = set.settings.workers, reloads = #set.reloads, slots = {}, workers = {} }
  copy(set, from, set_fields)
  for index, slot in ipairs(set.slots) do
    from.slots[index] = copy(slot, { policy = slot.policy:heritage() }, slot_fields)
  end
  for index, worker in ipairs(set:list()) do
    from.workers[index] = copy(worker, { role = role_of(set, worker) }, worker_fields)
  end
  from.backend = set.backend:heritage(M.handles(set))
  return from
end

local function time_left(set, deadline)
  return math.max(0, deadline - set.clock:now())
end

local function adopt_slot(set, from)
  local slot = Slot.new(from.number, set.settings.restart, set.random)
  copy(from, slot, { "done_generation", "failure_count", "failure" })
  slot.policy:adopt(from.policy)
  if from.deadline then
    set:rest(slot, time_left(set, from.deadline))
  end
  return slot
end

local events = { starting = "late", stopping = "overdue" }

local function adopt_worker(set, from)
  local worker = copy(from, Worker.new(from.slot, from.generation, from.started_at, from.limits), worker_fields)
  set.workers[worker] = true
  if from.role then
    set.slots[from.slot][from.role] = worker
  end
  worker:take_handle(set.backend:resume(from.id, set:reporter(worker)))
  if from.deadline then
    set:limit_time(worker, time_left(set, from.deadline), events[from.state])
  end
end

local function nothing() end

--- Lets a new set go on with what another has handed on.
---@param set mw.WorkerSet
---@param from mw.SetHeritage
function M.adopt(set, from)
  set.backend:adopt(from.backend)
  M.go_on(set, from)
end

--- The same where the backend has the workers already. How many are wanted is
--- what its settings say, where that is another number than before.
---@param set mw.WorkerSet
---@param from mw.SetHeritage
function M.go_on(set, from)
  copy(from, set, set_fields)
  if set.settings.workers ~= from.workers_option then
    set.wanted = set.settings.workers
  end
  for index, slot in ipairs(from.slots) do
    set.slots[index] = adopt_slot(set, slot)
  end
  for _, worker in ipairs(from.workers) do
    adopt_worker(set, worker)
  end
  for index = 1, from.reloads do
    set.reloads[index] = { done = nothing }
  end
end

return M
