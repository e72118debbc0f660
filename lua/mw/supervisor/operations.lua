-- What users ask of a set of workers. Each calls `done(err, true)` once it is
-- so, or can't be.

local errors = require "mw.error"

local M = {}

local function stopped_error()
  return errors.new("ERR_SUPERVISOR_STOPPED", "ERR_SUPERVISOR_STOPPED: the supervisor has stopped")
end

local function failure_error(why)
  return errors.new("ERR_SUPERVISOR_WORKER", "ERR_SUPERVISOR_WORKER: " .. why)
end

-- Failures of all time, to see whether one has come since.
local function count_failures(slots)
  local counts = {}
  for _, slot in ipairs(slots) do
    counts[slot] = slot.failure_count
  end
  return counts
end

local function new_failure(slots, before)
  for _, slot in ipairs(slots) do
    if slot.failure_count > (before[slot] or 0) then
      return slot.failure
    end
  end
end

-- Waits for a condition, a failure in one of the slots or the end.
local function wait(set, slots, condition, done)
  local before = count_failures(slots)
  set:wait_until(function()
    if set.is_stopping then
      return nil, stopped_error()
    elseif condition() then
      return true
    end
    local why = new_failure(slots, before)
    if why then
      return nil, failure_error(why)
    end
  end, done)
end

local function is_complete(set)
  for _, slot in ipairs(set.slots) do
    local is_ready = slot.holder and slot.holder.state == "ready"
    if not is_ready and not slot:is_done(set.generation) then
      return false
    end
  end
  for worker in pairs(set.workers) do
    if worker.slot > set.wanted then
      return false
    end
  end
  return #set.slots == set.wanted
end

--- From now on so many workers; done when they are ready, and the others gone.
---@param set mw.WorkerSet
---@param count integer
---@param done fun(err: mw.Error?, ok: true?)
function M.scale(set, count, done)
  if not set.is_stopping then
    set.wanted = count
  end
  wait(set, set.slots, function()
    return is_complete(set)
  end, done)
end

local function find(set, id)
  for worker in pairs(set.workers) do
    if worker.id == id then
      return worker
    end
  end
end

--- Replaces one worker; done when it has gone.
---@param set mw.WorkerSet
---@param id integer
---@param done fun(err: mw.Error?, ok: true?)
function M.restart(set, id, done)
  local worker = find(set, id)
  if not worker then
    set:wait_until(function()
      return nil, errors.new("ERR_SUPERVISOR_WORKER", ("ERR_SUPERVISOR_WORKER: there is no worker %d"):format(id))
    end, done)
    return
  end
  worker.replace_reason = worker.replace_reason or "restart"
  wait(set, { set:slot_of(worker) }, function()
    return worker.state == "gone"
  end, done)
end

--- Replaces all by workers that start anew, or none.
---@param set mw.WorkerSet
---@param done fun(err: mw.Error?, ok: true?)
function M.reload(set, done)
  if set.is_stopping then
    return done(stopped_error())
  end
  table.insert(set.reloads, { done = done })
  set:reconcile()
end

local function end_reloads(set)
  local reloads = set.reloads
  table.insert(reloads, 1, set.reload)
  set.reload, set.reloads = nil, {}
  for _, reload in ipairs(reloads) do
    local err = stopped_error()
    set.emit("reload", false, err)
    reload.done(err)
  end
end

--- Asks all to stop; done when they have gone.
---@param set mw.WorkerSet
---@param done fun(err: nil, ok: true)
function M.stop(set, done)
  if not set.is_stopping then
    set.is_stopping = true
    end_reloads(set)
  end
  set:wait_until(function()
    return set.is_over
  end, done)
end

return M
