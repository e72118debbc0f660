-- The event emitter. (https://nodejs.org/api/events.html)

local errors = require "mw.error"
local loop = require "mw.core.loop"
local task = require "mw.task"
local timers = require "mw.timers"

---@class mw.Emitter
local Emitter = { __name = "mw.emitter" }
Emitter.__index = Emitter

-- Lists of listeners are never changed, only replaced: an emit that is under
-- way goes on with the list it has begun.
local function listeners_of(self, event)
  local events = self._events
  return events and events[event]
end

local function check_listener(what, event, fn)
  if event == nil then
    errors.misuse("%s: bad argument 'event' (name of an event expected, got nil)", what)
  elseif type(fn) ~= "function" then
    errors.misuse("%s: bad argument 'fn' (function expected, got %s)", what, type(fn))
  end
end

local function replace(self, event, list)
  local had = listeners_of(self, event) ~= nil
  self._events = self._events or {}
  self._events[event] = list
  if had ~= (list ~= nil) and self._listening_changed then
    self:_listening_changed(event, list ~= nil)
  end
end

local function add(self, event, entry)
  local list = { table.unpack(listeners_of(self, event) or {}) }
  list[#list + 1] = entry
  replace(self, event, list)
  return self
end

--- Calls `fn` with the event's values whenever it is emitted.
---@param event any
---@param fn fun(...: any)
---@return mw.Emitter self
function Emitter:on(event, fn)
  check_listener("on", event, fn)
  return add(self, event, { fn = fn })
end

--- Calls `fn` the next time only.
---@param event any
---@param fn fun(...: any)
---@return mw.Emitter self
function Emitter:once(event, fn)
  check_listener("once", event, fn)
  return add(self, event, { fn = fn, once = true })
end

local function remove(self, event, matches)
  local list = listeners_of(self, event)
  for index = #(list or {}), 1, -1 do
    if matches(list[index]) then
      local rest = { table.unpack(list) }
      table.remove(rest, index)
      replace(self, event, #rest > 0 and rest or nil)
      return
    end
  end
end

--- Takes back one `on` or `once` of this function, the latest.
---@param event any
---@param fn fun(...: any)
---@return mw.Emitter self
function Emitter:off(event, fn)
  check_listener("off", event, fn)
  remove(self, event, function(entry)
    return entry.fn == fn
  end)
  return self
end

--- Takes back every listener of one event, or of all.
---@param event? any
---@return mw.Emitter self
function Emitter:remove_all_listeners(event)
  local names = { event }
  if event == nil then
    for name in pairs(self._events or {}) do
      names[#names + 1] = name
    end
  end
  for _, name in ipairs(names) do
    replace(self, name, nil)
  end
  return self
end

---@param event any
---@return integer
function Emitter:listener_count(event)
  return #(listeners_of(self, event) or {})
end

--- The functions that listen to an event, in order.
---@param event any
---@return function[]
function Emitter:listeners(event)
  local functions = {}
  for index, entry in ipairs(listeners_of(self, event) or {}) do
    functions[index] = entry.fn
  end
  return functions
end

-- The same for one who calls them himself: those of `once` have had theirs.
function Emitter:_take_listeners(event)
  local functions = self:listeners(event)
  for _, entry in ipairs(listeners_of(self, event) or {}) do
    if entry.once then
      self:off(event, entry.fn)
    end
  end
  return functions
end

-- What an `error` event tells, also one that comes without an error.
local function error_of(err)
  if err == nil then
    return errors.new("ERR_UNHANDLED_ERROR", "ERR_UNHANDLED_ERROR: an 'error' event without an error")
  end
  return err
end

-- Calls every listener; what one raises is reported after all have run.
local function call_all(self, event, list, ...)
  local failures
  for index = 1, #list do
    local entry = list[index]
    if entry.once then
      if entry.fired then
        goto next
      end
      entry.fired = true
      remove(self, event, function(other)
        return other == entry
      end)
    end
    local ok, err, traceback = loop.try(entry.fn, ...)
    if not ok then
      failures = failures or {}
      failures[#failures + 1] = { err = err, traceback = traceback }
    end
    ::next::
  end
  for _, failure in ipairs(failures or {}) do
    loop.uncaught(failure.err, "uncaught_exception", failure.traceback)
  end
end

--- Calls the listeners of the event, in the order in which they were added:
--- those that there are when it begins. A listener that raises does not stop
--- the others, and its error is an uncaught exception; so is an `error` that
--- nobody listens to. Listeners can't wait, nor yield.
---@param event any
---@param ... any
---@return boolean called whether there was a listener
function Emitter:emit(event, ...)
  local list = listeners_of(self, event)
  if list then
    call_all(self, event, list, ...)
    return true
  end
  if event == "error" then
    loop.uncaught(error_of((...)), "uncaught_exception", debug.traceback(nil, 2))
  end
  return false
end

local function destroyed_error(event)
  return errors.new("ERR_STREAM_DESTROYED", ("ERR_STREAM_DESTROYED: the object has ended, wait for '%s'"):format(event))
end

local function timeout_error(event, ms)
  return errors.system("ETIMEDOUT", ("wait for '%s' (%d ms)"):format(event, ms))
end

--- Waits for an event and returns its values, true where it has none. Returns
--- nil and an error where an `error` event comes first, the time is over
--- (ETIMEDOUT), or the object has ended already.
---@param event any
---@param timeout? number milliseconds; no limit where absent
---@return any ...
function Emitter:wait(event, timeout)
  if event == nil then
    errors.misuse("wait: bad argument 'event' (name of an event expected, got nil)")
  elseif timeout ~= nil and (type(timeout) ~= "number" or not (timeout >= 0)) then
    errors.misuse("wait: bad argument 'timeout' (milliseconds from 0 up expected, got %s)", tostring(timeout))
  end
  return task.await(("the event '%s'"):format(tostring(event)), function(done)
    if self.destroyed then
      return done(nil, self.errored or destroyed_error(tostring(event)))
    end
    local timer, on_event, on_error
    local function stop()
      self:off(event, on_event)
      self:off("error", on_error)
      if timer then
        timer:close()
      end
    end
    on_event = function(...)
      stop()
      if select("#", ...) == 0 then
        done(true)
      else
        done(...)
      end
    end
    on_error = function(err)
      stop()
      done(nil, error_of(err))
    end
    self:on(event, on_event)
    if event ~= "error" then
      self:on("error", on_error)
    end
    if timeout and timeout < timers.longest then
      timer = timers.set_timeout(function()
        stop()
        done(nil, timeout_error(tostring(event), timeout))
      end, timeout)
    end
    return stop
  end)
end

local M = { Emitter = Emitter }

--- Makes an emitter.
---@return mw.Emitter
function M.new()
  return setmetatable({}, Emitter)
end

--- Makes a class whose objects are emitters.
---@param name string as `__name` shows it
---@param parent? table another such class
---@return table
function M.class(name, parent)
  local class = {}
  for key, value in pairs(parent or Emitter) do
    class[key] = value
  end
  class.__name, class.__index = name, class
  return class
end

return M
