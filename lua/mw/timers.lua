-- Timers and immediates on the loop, in Node's order of phases.
-- (https://nodejs.org/api/timers.html)

local errors = require "mw.error"
local loop = require "mw.core.loop"
local options = require "mw.options"
local system = require "mw.core.system"
local uv = require "mw.uv"

local M = {
  --- The longest time, in milliseconds: beyond it a double no longer counts
  --- them.
  longest = 2 ^ 53,
}

---@class mw.Timer
local Timer = { __name = "mw.timer" }
Timer.__index = Timer

local function check_function(what, fn)
  if type(fn) ~= "function" then
    errors.misuse("%s: bad argument 'fn' (function expected, got %s)", what, type(fn))
  end
end

--- Raises where `ms` is no time; returns it as timers count it: whole
--- milliseconds, at least 1.
---@param what string the function that takes it
---@param ms any
---@return integer
function M.check_time(what, ms)
  if type(ms) ~= "number" or not (ms <= M.longest) then
    errors.misuse("%s: bad argument 'ms' (number of milliseconds expected, got %s)", what, options.show(ms))
  end
  return ms < 1 and 1 or math.floor(ms)
end

-- The loop's clock counts whole milliseconds and stands still while Lua runs.
-- What it is behind is added, so that no timer fires early, and the clock is
-- not moved, so that timers which start each other can't keep the loop in its
-- phase.
local function start(self)
  local behind = math.max(0, (system.hrtime() + 999999) // 1000000 - uv.now())
  self._handle:start(self._delay + behind, 0, self._on_timeout)
end

-- An interval counts by that clock, so that its runs do not drift.
local function start_again(self)
  self._handle:start(self._delay, 0, self._on_timeout)
end

local function release(self)
  if self._handle then
    self._handle:close()
    self._handle = nil
  end
end

local function new_timer(what, repeats, fn, ms, ...)
  check_function(what, fn)
  local self = setmetatable({ _delay = M.check_time(what, ms == nil and 1 or ms) }, Timer)
  local arguments = select("#", ...) > 0 and table.pack(...)
  self._handle = uv.new_timer()
  self._on_timeout = function()
    if repeats then
      start_again(self)
    else
      release(self)
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
  self._closed = true
  release(self)
end

--- Lets the timer keep the loop alive, as it does from the start.
---@return mw.Timer self
function Timer:ref()
  self._unreferenced = nil
  if self._handle then
    self._handle:ref()
  end
  return self
end

--- Lets the loop end although the timer runs.
---@return mw.Timer self
function Timer:unref()
  self._unreferenced = true
  if self._handle then
    self._handle:unref()
  end
  return self
end

--- Whether it keeps the loop alive: not after unref(), nor once it is over.
---@return boolean
function Timer:has_ref()
  return self._handle ~= nil and self._handle:has_ref()
end

--- Starts the time anew, also that of a timer which has run; one that was
--- ended by close() or clear_timeout() stays so.
---@return mw.Timer self
function Timer:refresh()
  if self._closed then
    return self
  elseif not self._handle then
    self._handle = uv.new_timer()
    if self._unreferenced then
      self._handle:unref()
    end
  end
  start(self)
  return self
end

--- Runs `fn(...)` once, after at least `ms` milliseconds. An error that it
--- raises is an uncaught exception, and other timers run all the same.
---@param fn function
---@param ms? number milliseconds, fractions cut off; 1 where absent or less
---@param ... any
---@return mw.Timer
function M.set_timeout(fn, ms, ...)
  return new_timer("set_timeout", false, fn, ms, ...)
end

--- Runs `fn(...)` again and again: `ms` milliseconds after now, and after the
--- beginning of each run.
---@param fn function
---@param ms? number as of set_timeout
---@param ... any
---@return mw.Timer
function M.set_interval(fn, ms, ...)
  return new_timer("set_interval", true, fn, ms, ...)
end

-- Immediates run in the check phase, and the idle handle keeps the loop from
-- waiting before it. Those made while some run are for the next turn.
local immediates, referenced = {}, 0
local check, idle
local is_checking, is_idling = false, false -- quicker than to ask the handles

---@class mw.Immediate
local Immediate = { __name = "mw.immediate" }
Immediate.__index = Immediate

local function nothing() end

local function count(immediate, change)
  if immediate._fn and immediate._referenced then
    referenced = referenced + change
  end
  if is_idling ~= (referenced > 0) then
    is_idling = not is_idling
    if is_idling then
      idle:start(nothing)
    else
      idle:stop()
    end
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
    is_checking = false
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

--- Whether it keeps the loop alive: not after unref(), nor once it is over.
---@return boolean
function Immediate:has_ref()
  return self._fn ~= nil and self._referenced
end

--- Takes it back; its function does not run any more. May be called twice.
function Immediate:close()
  count(self, -1)
  self._fn = nil
end

--- Runs `fn(...)` once the loop has handled the events that wait now. One that
--- is made by an immediate runs on the next turn.
---@param fn function
---@param ... any
---@return mw.Immediate
function M.set_immediate(fn, ...)
  check_function("set_immediate", fn)
  if not check then
    check, idle = uv.new_check(), uv.new_idle()
    check:unref()
  end
  local immediate = table.pack(...)
  immediate._fn, immediate._referenced = fn, true
  setmetatable(immediate, Immediate)
  immediates[#immediates + 1] = immediate
  count(immediate, 1)
  if not is_checking then
    is_checking = true
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

--- Ends a timer or an immediate of any kind; nil, and one that has ended, are
--- harmless.
---@type fun(timer: mw.Timer|mw.Immediate|nil)
M.clear_timeout = clear "clear_timeout"

--- The same.
---@type fun(timer: mw.Timer|mw.Immediate|nil)
M.clear_interval = clear "clear_interval"

--- The same.
---@type fun(timer: mw.Timer|mw.Immediate|nil)
M.clear_immediate = clear "clear_immediate"

return M
