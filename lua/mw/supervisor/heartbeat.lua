-- Who gives no sign of life any more. The workers' loops beat every `interval`;
-- who has not for `timeout` is hung.

---@class mw.Heartbeat
---@field period integer how often to check, in milliseconds
---@field private _back_at integer the end of the last gap between checks
local Heartbeat = {}
Heartbeat.__index = Heartbeat

---@param opts { interval: integer, timeout: integer }
---@return mw.Heartbeat
function Heartbeat.new(opts)
  local period = math.max(1, math.min(opts.interval, opts.timeout) // 2)
  return setmetatable({ period = period, _timeout = opts.timeout, _back_at = 0 }, Heartbeat)
end

-- After a suspend, or while the master itself was held up, everybody looks
-- hung: their beats wait to be read, or they have been held up as well and go on
-- a little later. A gap that is short beside the timeout is not what makes them so,
-- and a master that is always late still finds them.
local function note_gap(self, now)
  local last = self._last_check or now
  self._last_check = now
  if now - last > math.max(3 * self.period, self._timeout // 2) then
    self._back_at = now
  end
end

--- The workers of a list that are hung; after a gap between checks each has the
--- whole timeout again.
---@generic T: { last_beat: integer? }
---@param now integer on a clock that only goes forward
---@param workers T[]
---@return T[]
function Heartbeat:hung(now, workers)
  local found = {}
  note_gap(self, now)
  for _, worker in ipairs(workers) do
    if worker.last_beat and now - math.max(worker.last_beat, self._back_at) > self._timeout then
      found[#found + 1] = worker
    end
  end
  return found
end

return Heartbeat
