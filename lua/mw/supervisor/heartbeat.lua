-- Who gives no sign of life any more. The workers' loops beat every `interval`;
-- who has not for `timeout` is hung.

---@class mw.Heartbeat
---@field period integer how often to check, in milliseconds
local Heartbeat = {}
Heartbeat.__index = Heartbeat

---@param opts { interval: integer, timeout: integer }
---@return mw.Heartbeat
function Heartbeat.new(opts)
  local period = math.max(1, math.min(opts.interval, opts.timeout) // 2)
  return setmetatable({ period = period, _timeout = opts.timeout }, Heartbeat)
end

-- After a suspend, or while the master itself was held up, everybody looks
-- hung: their beats wait to be read. A gap that is short beside the timeout is
-- not what makes them so, and a master that is always late still finds them.
local function was_away(self, now)
  local last = self._last_check
  self._last_check = now
  return last ~= nil and now - last > math.max(3 * self.period, self._timeout // 2)
end

--- The workers of a list that are hung; none in the first check after a gap.
---@generic T: { last_beat: integer? }
---@param now integer on a clock that only goes forward
---@param workers T[]
---@return T[]
function Heartbeat:hung(now, workers)
  local found = {}
  if was_away(self, now) then
    return found
  end
  for _, worker in ipairs(workers) do
    if worker.last_beat and now - worker.last_beat > self._timeout then
      found[#found + 1] = worker
    end
  end
  return found
end

return Heartbeat
