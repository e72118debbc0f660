-- A clock that stands still until a test moves it.

---@class spec.FakeClock
local FakeClock = {}
FakeClock.__index = FakeClock

---@return spec.FakeClock
function FakeClock.new()
  return setmetatable({ _now = 1000, _timers = {} }, FakeClock)
end

---@return integer milliseconds
function FakeClock:now()
  return self._now
end

--- Calls `fn` once, in `ms` milliseconds.
---@param ms integer
---@param fn fun()
---@return { close: fun(self) }
function FakeClock:after(ms, fn)
  local timers = self._timers
  local timer = { at = self._now + ms, fn = fn }
  function timer:close()
    timers[self] = nil
  end
  timers[timer] = true
  return timer
end

--- The same again and again.
---@param ms integer
---@param fn fun()
---@return { close: fun(self) }
function FakeClock:every(ms, fn)
  local timer
  timer = self:after(ms, function()
    timer.at = timer.at + ms
    self._timers[timer] = true
    fn()
  end)
  return timer
end

local function next_due(self, until_when)
  local due
  for timer in pairs(self._timers) do
    if timer.at <= until_when and (not due or timer.at < due.at) then
      due = timer
    end
  end
  return due
end

--- Lets time pass, and what is due in it happen at its moment.
---@param ms integer
function FakeClock:advance(ms)
  local target = self._now + ms
  local timer = next_due(self, target)
  while timer do
    self._now = timer.at
    self._timers[timer] = nil
    timer.fn()
    timer = next_due(self, target)
  end
  self._now = target
end

--- Lets time pass as in a suspend: nothing happens until it is over.
---@param ms integer
function FakeClock:skip(ms)
  self._now = self._now + ms
  for timer in pairs(self._timers) do
    timer.at = math.max(timer.at, self._now)
  end
end

--- How many timers wait.
---@return integer
function FakeClock:timer_count()
  local count = 0
  for _ in pairs(self._timers) do
    count = count + 1
  end
  return count
end

return FakeClock
