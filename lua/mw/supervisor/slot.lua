-- A place for a worker. It keeps what must outlive each of them: how often they
-- have failed, and when the next one may start.

local RestartPolicy = require "mw.supervisor.restart_policy"

---@class mw.Slot: mw.ReloadSlot
---@field number integer
---@field policy mw.RestartPolicy
---@field failure_count integer of all time
---@field failure string? the last one, as a sentence
---@field timer table? runs until the next worker may start
---@field deadline integer? when that is
local Slot = {}
Slot.__index = Slot

---@param number integer
---@param restart table the options of the policy
---@param random fun(): number
---@return mw.Slot
function Slot.new(number, restart, random)
  return setmetatable({ number = number, failure_count = 0, policy = RestartPolicy.new(restart, random) }, Slot)
end

--- Whether a worker has its place here, or is to get it.
---@param worker mw.SupervisedWorker
---@return boolean
function Slot:has(worker)
  return self.holder == worker or self.successor == worker
end

--- Takes a worker out; its successor, where there is one, has the place then.
---@param worker mw.SupervisedWorker
function Slot:remove(worker)
  if self.holder == worker then
    self.holder, self.successor = self.successor, nil
  elseif self.successor == worker then
    self.successor = nil
  end
end

--- Gives the place to the successor.
---@return mw.SupervisedWorker? holder the one that had it
function Slot:promote()
  local holder = self.holder
  self.holder, self.successor = self.successor, nil
  return holder
end

--- Whether the script of a generation, or a later one, has run here to its end.
---@param generation integer
---@return boolean
function Slot:is_done(generation)
  return self.done_generation ~= nil and self.done_generation >= generation
end

--- Counts a failure; returns the delay before the next start.
---@param now integer
---@param worker mw.SupervisedWorker
---@param code? integer
---@param why string
---@return integer milliseconds
function Slot:failed(now, worker, code, why)
  self.failure_count = self.failure_count + 1
  self.failure = why
  return self.policy:failed(now, worker:ready_for(now), code)
end

--- Lets no worker start before the timer is over.
---@param timer? table
---@param deadline? integer when the timer is over
function Slot:set_timer(timer, deadline)
  if self.timer then
    self.timer:close()
  end
  self.timer, self.deadline = timer, deadline
end

--- Forgets the failures: the next worker starts at once.
function Slot:reset()
  self.policy:reset()
  self:set_timer()
end

return Slot
