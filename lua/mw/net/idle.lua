-- A limit to the time in which nothing happens. Being told that something
-- happened costs next to nothing: only when the time is over is it counted
-- when that was.

local timers = require "mw.timers"
local uv = require "luv"

---@class mw.IdleLimit
local Idle = { __name = "mw.idle_limit" }
Idle.__index = Idle

local start

local function over(self)
  local left = self._last + self._ms - uv.now()
  if left > 0 then
    return start(self, left)
  end
  self._timer = nil
  self._expired()
end

function start(self, ms)
  self._timer = timers.set_timeout(over, ms, self):unref()
end

--- Starts the time; `expired` runs when nothing has happened for that long. It
--- does not keep the loop alive.
---@param ms number
---@param expired fun()
---@return mw.IdleLimit
function Idle.new(ms, expired)
  local self = setmetatable({ _ms = ms, _expired = expired, _last = uv.now() }, Idle)
  start(self, ms)
  return self
end

--- Something has happened: the time starts anew, also after it was over.
function Idle:touch()
  self._last = uv.now()
  if not self._timer then
    start(self, self._ms)
  end
end

function Idle:close()
  timers.clear_timeout(self._timer)
  self._timer = nil
end

return Idle
