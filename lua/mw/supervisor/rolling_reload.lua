-- The order of a reload. The first new worker is the canary; each next one is
-- started when the one before is ready. The old ones stop when all new ones
-- are ready, so that until then there is a way back which loses nobody.

local M = {}

---@class mw.ReloadSlot
---@field holder mw.SupervisedWorker? the worker that has the place
---@field successor mw.SupervisedWorker? the one that is to get it
---@field done_generation integer? whose script has run here to its end

local function has(worker, generation)
  return worker ~= nil and worker.generation == generation
end

--- What comes next: "start" a successor in the slot that is returned with it,
--- "wait" for the last one, or "switch" to the new ones.
---@param slots mw.ReloadSlot[]
---@param generation integer the new workers'
---@return "start"|"wait"|"switch" step
---@return mw.ReloadSlot? slot
function M.next_step(slots, generation)
  for _, slot in ipairs(slots) do
    local new = has(slot.successor, generation) and slot.successor or has(slot.holder, generation) and slot.holder
    if not new and slot.done_generation ~= generation then
      return "start", slot
    elseif new and new.state ~= "ready" then
      return "wait"
    end
  end
  return "switch"
end

return M
