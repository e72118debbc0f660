-- The places of workers: 1 to N, each inherited by the one that follows in it.

local M = {}

---@type table<integer, mw.MasterWorker>
local occupants = {}

-- Who has ended or is to end leaves his place to another.
local function is_free(slot)
  local worker = occupants[slot]
  return not worker or worker.exited_after_disconnect ~= nil or worker:is_dead()
end

--- The smallest free place.
---@return integer
function M.smallest_free()
  local slot = 1
  while not is_free(slot) do
    slot = slot + 1
  end
  return slot
end

--- Puts a worker into its place, whoever has it.
---@param worker mw.MasterWorker
function M.occupy(worker)
  occupants[worker.slot] = worker
end

--- Gives a worker's place back, unless it is another's already.
---@param worker mw.MasterWorker
function M.leave(worker)
  if occupants[worker.slot] == worker then
    occupants[worker.slot] = nil
  end
end

return M
