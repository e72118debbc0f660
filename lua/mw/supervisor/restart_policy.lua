-- Whether and when a slot gets a worker again, after one has ended that nobody
-- had asked to: at most `limit` such ends in a `window`. A worker that was
-- ready is replaced at once, one that never was after a growing delay; past
-- the limit every `max_delay`, whatever it was.

local backoff = require "mw.supervisor.backoff"

---@class mw.RestartPolicy
---@field failures integer[] when workers have ended, as far as it counts
---@field is_past_limit boolean
local RestartPolicy = {}
RestartPolicy.__index = RestartPolicy

-- Statuses after which another attempt is of little use: the worker could not
-- boot, the application could not be loaded.
local hopeless = { [103] = true, [104] = true }

---@param opts { limit: integer, window: integer, delay: integer, max_delay: integer }
---@param random fun(): number from 0 to 1
---@return mw.RestartPolicy
function RestartPolicy.new(opts, random)
  local self = setmetatable({ _opts = opts, _random = random }, RestartPolicy)
  self:reset()
  return self
end

--- Forgets all that was.
function RestartPolicy:reset()
  self.failures, self._unready, self.is_past_limit = {}, 0, false
end

---@return { failures: integer[], unready: integer, is_past_limit: boolean }
function RestartPolicy:heritage()
  return { failures = self.failures, unready = self._unready, is_past_limit = self.is_past_limit }
end

--- Goes on where another has been.
---@param from { failures: integer[], unready: integer, is_past_limit: boolean }
function RestartPolicy:adopt(from)
  self.failures, self._unready, self.is_past_limit = from.failures, from.unready, from.is_past_limit
end

local function forget_old(self, now)
  local failures = self.failures
  while failures[1] and failures[1] <= now - self._opts.window do
    table.remove(failures, 1)
  end
end

--- Counts the end of a worker; returns the delay before the next one starts.
---@param now integer
---@param ready_for? integer how long it was ready; nil where it never was
---@param code? integer its status
---@return integer milliseconds
function RestartPolicy:failed(now, ready_for, code)
  if ready_for and ready_for >= self._opts.window / 10 then
    self:reset()
  end
  forget_old(self, now)
  -- More than the limit are of no interest.
  if #self.failures <= self._opts.limit then
    table.insert(self.failures, now)
  end
  self.is_past_limit = #self.failures > self._opts.limit or (not ready_for and hopeless[code] == true)
  if self.is_past_limit then
    return self._opts.max_delay
  elseif ready_for then
    return 0
  end
  self._unready = self._unready + 1
  return backoff.delay(self._unready, self._opts, self._random)
end

return RestartPolicy
