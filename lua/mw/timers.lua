-- Timers and immediates on the loop, in Node's order of phases.
-- (https://nodejs.org/api/timers.html)

local errors = require "mw.error"
local loop = require "mw.core.loop"
local uv = require "luv"

local M = {}

-- Beyond this a double no longer counts milliseconds.
local longest = 2 ^ 53

---@class mw.Timer
local Timer = { __name = "mw.timer" }
Timer.__index = Timer

local function check_arguments(what, fn, ms)
  if type(fn) ~= "function" then
    errors.misuse("%s: bad argument 'fn' (function expected, got %s)", what, type(fn))
  end
  if ms ~= nil and (type(ms) ~= "number" or not (ms <= longest)) then
    errors.misuse("%s: bad argument 'ms' (number of milliseconds expected, got %s)", what, tostring(ms))
  end
  return math.max(1, math.floor(ms or 1))
end

-- The loop's clock stands still while Lua runs. What it is behind is added, so
-- that no timer fires early, and the clock is not moved, so that timers which
-- start each other can't keep the loop in its phase.
local function start(self)
  local behind = math.max(0, uv.hrtime() // 1000000 - uv.now())
  self._handle:start(self._delay + behind, 0, self._on_timeout)
end

local function new_timer(what, repeats, fn, ms, ...)
  local self = setmetatable({ _delay = check_arguments(what, fn, ms) }, Timer)
  local arguments = select("#", ...) > 0 and table.pack(...)
  self._handle = uv.new_timer()
  self._on_timeout = function()
    if repeats then
      start(self)
    else
      self:close()
    end
    if arguments then
      fn(table.unpack(arguments, 1, arguments.n))
    else
      fn()
    end
  end
  start(self)
  return self
end

--- Ends the timer; its function does not run any more. May be called twice.
function Timer:close()
  if self._handle then
    self._handle:close()
    self._handle = nil
  end
end

--- Lets the timer keep the loop alive, as it does from the start.
---@return mw.Timer self
function Timer:ref()
  if self._handle then
    self._handle:ref()
  end
  return self
end

--- Lets the loop end although the timer runs.
---@return mw.Timer self
function Timer:unref()
  if self._handle then
    self._handle:unref()
  end
  return self
end

---@return boolean
function Timer:has_ref()
  return self._handle ~= nil and self._handle:has_ref()
end

--- Starts the time anew.
---@return mw.Timer self
function Timer:refresh()
  if self._handle then
    start(self)
  end
  return self
end

--- Runs `fn(...)` once, after at least `ms` milliseconds (at least 1).
---@param fn function
---@param ms? number
---@param ... any
---@return mw.Timer
function M.set_timeout(fn, ms, ...)
  return new_timer("set_timeout", false, fn, ms, ...)
end

--- Runs `fn(...)` again and again, `ms` milliseconds after it was started and
--- after each run.
---@param fn function
---@param ms? number
---@param ... any
---@return mw.Timer
function M.set_interval(fn, ms, ...)
  return new_timer("set_interval", true, fn, ms, ...)
end

-- Immediates run in the check phase, and the idle handle keeps the loop from
-- waiting before it. Those made while some run are for the next turn.
local immediates, referenced = {}, 0
local check, idle

---@class mw.Immediate
local Immediate = { __name = "mw.immediate" }
Immediate.__index = Immediate

local function nothing() end

local function count(immediate, change)
  if immediate._fn and immediate._referenced then
    referenced = referenced + change
  end
  if referenced == 0 then
    idle:stop()
  elseif not idle:is_active() then
    idle:start(nothing)
  end
end

local function run_immediates()
  local due = immediates
  immediates = {}
  for _, immediate in ipairs(due) do
    local fn = immediate._fn
    if fn then
      count(immediate, -1)
      immediate._fn = nil
      loop.callback(fn, table.unpack(immediate, 1, immediate.n))
    end
  end
  if #immediates == 0 then
    check:stop()
  end
end

--- Lets the immediate keep the loop alive, as it does from the start.
---@return mw.Immediate self
function Immediate:ref()
  if not self._referenced then
    self._referenced = true
    count(self, 1)
  end
  return self
end

--- Lets the loop end before the immediate has run.
---@return mw.Immediate self
function Immediate:unref()
  count(self, -1)
  self._referenced = false
  return self
end

---@return boolean
function Immediate:has_ref()
  return self._fn ~= nil and self._referenced
end

--- Takes it back; its function does not run any more. May be called twice.
function Immediate:close()
  count(self, -1)
  self._fn = nil
end

--- Runs `fn(...)` once the loop has handled the events that wait now.
---@param fn function
---@param ... any
---@return mw.Immediate
function M.set_immediate(fn, ...)
  check_arguments("set_immediate", fn)
  if not check then
    check, idle = uv.new_check(), uv.new_idle()
    check:unref()
  end
  local immediate = table.pack(...)
  immediate._fn, immediate._referenced = fn, true
  setmetatable(immediate, Immediate)
  immediates[#immediates + 1] = immediate
  count(immediate, 1)
  if not check:is_active() then
    check:start(run_immediates)
  end
  return immediate
end

local function clear(what)
  return function(timer)
    local class = getmetatable(timer)
    if class == Timer or class == Immediate then
      timer:close()
    elseif timer ~= nil then
      errors.misuse("%s: bad argument 'timer' (timer or nil expected, got %s)", what, type(timer))
    end
  end
end

--- End a timer or an immediate; nil, and one that has ended, are harmless.
M.clear_timeout = clear "clear_timeout"
M.clear_interval = clear "clear_interval"
M.clear_immediate = clear "clear_immediate"

return M
