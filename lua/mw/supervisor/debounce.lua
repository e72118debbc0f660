-- One call for many that come close together: when it has been quiet for a
-- while, but not much later than the first.

---@class mw.Debounce
local Debounce = {}
Debounce.__index = Debounce

--- Makes one that calls `fn`.
---@param clock mw.SupervisorClock
---@param opts { quiet: integer, patience: integer } milliseconds: without a call; from the first one
---@param fn fun()
---@return mw.Debounce
function Debounce.new(clock, opts, fn)
  return setmetatable({ _clock = clock, _quiet = opts.quiet, _patience = opts.patience, _fn = fn }, Debounce)
end

-- The timer is not started anew for each call: it looks at the last one when it
-- ends.
local function start(self)
  local now = self._clock:now()
  local due = math.min(self._last + self._quiet, self._first + self._patience)
  self._timer = self._clock:after(math.max(0, due - now), function()
    self._timer = nil
    now = self._clock:now()
    if now - self._last < self._quiet and now - self._first < self._patience then
      return start(self)
    end
    self._first = nil
    self._fn()
  end)
end

--- Asks for a call.
function Debounce:poke()
  self._last = self._clock:now()
  self._first = self._first or self._last
  if not self._timer then
    start(self)
  end
end

--- Forgets what was asked for.
function Debounce:close()
  if self._timer then
    self._timer:close()
    self._timer, self._first = nil, nil
  end
end

return Debounce
