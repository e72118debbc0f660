-- The one loop of wanted against actual. Whatever happens, it looks at the
-- whole set and does what is missing.

local Slot = require "mw.supervisor.slot"
local errors = require "mw.error"
local rolling_reload = require "mw.supervisor.rolling_reload"

local M = {}

local function stop(set, worker)
  if worker then
    set:signal(worker, "stop")
  end
end

local function fit_slots(set)
  while #set.slots < set.wanted do
    table.insert(set.slots, Slot.new(#set.slots + 1, set.settings.restart, set.random))
  end
  while #set.slots > set.wanted do
    local slot = table.remove(set.slots)
    slot:set_timer()
    stop(set, slot.successor)
    stop(set, slot.holder)
  end
end

-- As long as no worker was ever ready, those that have failed are tried again
-- one after the other: what is wrong is most likely wrong with all.
local function is_first_failed(set, slot)
  for _, other in ipairs(set.slots) do
    if #other.policy.failures > 0 then
      return other == slot
    end
  end
end

local function may_start(set, slot)
  if slot.timer or slot:is_done(set.generation) then
    return false
  end
  return set.was_ready or #slot.policy.failures == 0 or is_first_failed(set, slot)
end

-- A worker that is to be replaced goes on until its successor is ready.
local function fill(set, slot)
  if not slot.holder then
    if not slot.successor and may_start(set, slot) then
      set:start(slot, "holder", set.generation)
    end
  elseif set.reload then
    return -- which replaces all
  elseif slot.successor and slot.successor.state == "ready" then
    stop(set, slot:promote())
  elseif slot:is_done(set.generation) then
    stop(set, slot:promote())
  elseif slot.holder.replace_reason and not slot.successor and may_start(set, slot) then
    set:start(slot, "successor", set.generation)
  end
end

-- Reloads ----------------------------------------------------------------------

local function finish_reload(set, err)
  local reload = set.reload
  set.reload, set.is_dirty = nil, true
  if err then
    set.log("the reload has failed: " .. err.message)
    set.emit("rollback", err)
  end
  set.emit("reload", err == nil, err)
  reload.done(err, err == nil or nil)
end

local function take_back(set)
  local reload = set.reload
  for _, slot in ipairs(set.slots) do
    if slot.successor and slot.successor.generation == reload.generation then
      stop(set, slot.successor)
    end
  end
  finish_reload(set, errors.new("ERR_SUPERVISOR_RELOAD", "ERR_SUPERVISOR_RELOAD: " .. reload.failure))
end

local function switch(set)
  local reload = set.reload
  set.generation = reload.generation
  reload.old = {}
  for worker in pairs(set.workers) do
    if worker.generation < reload.generation then
      reload.old[#reload.old + 1] = worker
    end
  end
  for _, slot in ipairs(set.slots) do
    slot:reset()
    if slot.successor or slot:is_done(reload.generation) then
      stop(set, slot:promote())
    end
  end
end

-- A reload lasts until the old ones have ended. So there is never more than one
-- old generation, however many reloads are asked for.
local function are_gone(workers)
  for _, worker in ipairs(workers) do
    if worker.state ~= "gone" then
      return false
    end
  end
  return true
end

local function advance_reload(set)
  local reload = set.reload
  if reload.failure then
    return take_back(set)
  elseif not reload.is_begun then
    return
  elseif reload.old then
    return are_gone(reload.old) and finish_reload(set)
  end
  local step, slot = rolling_reload.next_step(set.slots, reload.generation)
  if step == "start" then
    stop(set, slot.successor)
    set:start(slot, "successor", reload.generation)
  elseif step == "switch" then
    switch(set)
    set.is_dirty = true
  end
end

local function begin_reload(set)
  set.last_generation = set.last_generation + 1
  set.reload = table.remove(set.reloads, 1)
  set.reload.generation = set.last_generation
  local reload = set.reload
  set.backend:refresh(function(err)
    reload.is_begun, reload.failure = true, err and tostring(err)
    set:reconcile()
  end)
end

-- The end ----------------------------------------------------------------------

local function stop_all(set)
  for _, slot in ipairs(set.slots) do
    slot:set_timer()
  end
  for _, worker in ipairs(set:list()) do
    stop(set, worker)
  end
  if next(set.workers) == nil and not set.is_over then
    set:close()
  end
end

-- No worker was ever ready, and none is on its way; unless their files may
-- still change.
local function is_hopeless(set)
  local failure
  for _, slot in ipairs(set.slots) do
    failure = failure or slot.policy.is_past_limit and slot.failure
  end
  for worker in pairs(set.workers) do
    if worker.state == "starting" then
      return false
    end
  end
  return not set.was_ready and not set.settings.watch and failure
end

local function answer_waits(set)
  local waits = set.waits
  set.waits = {}
  for _, wait in ipairs(waits) do
    local ok, err = wait.condition()
    if ok or err then
      wait.done(err, ok)
    else
      table.insert(set.waits, wait)
    end
  end
end

local function pass(set)
  if set.is_gathering then
    return
  elseif set.is_stopping then
    return stop_all(set)
  end
  fit_slots(set)
  if not set.reload and set.reloads[1] and not set.is_handing_on then
    begin_reload(set)
  end
  for _, slot in ipairs(set.slots) do
    fill(set, slot)
  end
  if set.reload then
    advance_reload(set)
  end
  local failure = is_hopeless(set)
  if failure then
    set:give_up(failure)
  end
end

--- Goes over the set until there is nothing left to do. What happens meanwhile
--- is seen by one more pass.
---@param set mw.WorkerSet
function M.run(set)
  set.is_dirty = true
  if set.is_running then
    return
  end
  set.is_running = true
  while set.is_dirty do
    set.is_dirty = false
    pass(set)
    answer_waits(set)
  end
  set.is_running = false
  set.on_settled()
end

return M
