-- The event emitter. (https://nodejs.org/api/events.html)

local errors = require "mw.error"
local loop = require "mw.core.loop"
local options = require "mw.options"

---@class mw.Emitter
local Emitter = { __name = "mw.emitter" }
Emitter.__index = Emitter

---@class mw.Listener
---@field fn function
---@field once boolean?
---@field fired boolean? one of once has had its event
---@field removed_at integer? how many emits had begun when it was taken back

-- The listeners of one event: slots 1 to `count`, of which some may have been
-- taken back already. An emit that is under way calls those that there were
-- when it began, so that slots are only cleared while there is none.
local function new_list()
  return { count = 0, alive = 0, emits = 0 }
end

local function list_of(self, event)
  local events = self._events
  return events and events[event]
end

local function compact(list)
  local kept = 0
  for index = 1, list.count do
    local entry = list[index]
    list[index] = nil
    if not entry.removed_at then
      kept = kept + 1
      list[kept] = entry
    end
  end
  list.count = kept
end

local function compact_if_due(list)
  if list.emits == 0 and list.count > 2 * list.alive + 8 then
    compact(list)
  end
end

local function check_listener(what, event, fn)
  if event == nil then
    errors.misuse("%s: bad argument 'event' (name of an event expected, got nil)", what)
  elseif type(fn) ~= "function" then
    errors.misuse("%s: bad argument 'fn' (function expected, got %s)", what, type(fn))
  end
end

-- A class that wants to know how many listeners an event has, and had before,
-- has a method for that.
local function tell_change(self, event, count, before)
  if self._listening_changed then
    self:_listening_changed(event, count, before)
  end
end

local function add(self, event, entry)
  self._events = self._events or {}
  local list = self._events[event]
  if not list then
    list = new_list()
    self._events[event] = list
  end
  list.count, list.alive = list.count + 1, list.alive + 1
  list[list.count] = entry
  tell_change(self, event, list.alive, list.alive - 1)
  return entry
end

local function remove(self, event, entry)
  local list = list_of(self, event)
  if entry.removed_at or not list then
    return
  end
  entry.removed_at = self._emits or 0
  list.alive = list.alive - 1
  if list.alive > 0 then
    compact_if_due(list)
  else
    self._events[event] = nil
  end
  tell_change(self, event, list.alive, list.alive + 1)
end

local function remove_all(self, event)
  local list = list_of(self, event)
  if not list then
    return
  end
  for index = 1, list.count do
    list[index].removed_at = list[index].removed_at or self._emits or 0
  end
  self._events[event] = nil
  tell_change(self, event, 0, list.alive)
end

--- Calls `fn` with the event's values whenever it is emitted.
---@param event any
---@param fn fun(...: any)
---@return mw.Emitter self
function Emitter:on(event, fn)
  check_listener("on", event, fn)
  add(self, event, { fn = fn })
  return self
end

--- Calls `fn` the next time only.
---@param event any
---@param fn fun(...: any)
---@return mw.Emitter self
function Emitter:once(event, fn)
  check_listener("once", event, fn)
  add(self, event, { fn = fn, once = true })
  return self
end

--- Takes back one `on` or `once` of this function, the latest.
---@param event any
---@param fn fun(...: any)
---@return mw.Emitter self
function Emitter:off(event, fn)
  check_listener("off", event, fn)
  local list = list_of(self, event)
  for index = list and list.count or 0, 1, -1 do
    local entry = list[index]
    if entry.fn == fn and not entry.removed_at then
      remove(self, event, entry)
      break
    end
  end
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
    remove_all(self, name)
  end
  return self
end

--- How many listeners an event has.
---@param event any
---@return integer
function Emitter:listener_count(event)
  local list = list_of(self, event)
  return list and list.alive or 0
end

-- The function that listens to an event where it is the only one, and for good.
function Emitter:_only_listener(event)
  local list = list_of(self, event)
  if not list or list.alive ~= 1 then
    return nil
  end
  for index = 1, list.count do
    local entry = list[index]
    if not entry.removed_at then
      return not entry.once and entry.fn or nil
    end
  end
end

-- The entries of an event that count now, in order.
local function entries_of(self, event)
  local list = list_of(self, event)
  local entries = {}
  for index = 1, list and list.count or 0 do
    if not list[index].removed_at then
      entries[#entries + 1] = list[index]
    end
  end
  return entries
end

--- The functions that listen to an event, in order.
---@param event any
---@return function[]
function Emitter:listeners(event)
  local functions = entries_of(self, event)
  for index, entry in ipairs(functions) do
    functions[index] = entry.fn
  end
  return functions
end

-- The same for one who calls them himself: those of `once` have had theirs.
function Emitter:_take_listeners(event)
  local functions = entries_of(self, event)
  for index, entry in ipairs(functions) do
    functions[index] = entry.fn
    if entry.once then
      remove(self, event, entry)
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

-- Whether an entry is to be called by the emit of this number.
local function is_due(entry, emit)
  return not entry.fired and not (entry.removed_at and entry.removed_at < emit)
end

-- Calls the listeners; returns what they raised, nil where nothing.
local function call_all(self, event, list, ...)
  local failures
  local emit = (self._emits or 0) + 1
  self._emits = emit
  list.emits = list.emits + 1
  for index = 1, list.count do
    local entry = list[index]
    if is_due(entry, emit) then
      if entry.once then
        entry.fired = true
        remove(self, event, entry)
      end
      local ok, err, traceback = loop.try(entry.fn, ...)
      if not ok then
        failures = failures or {}
        failures[#failures + 1] = { err = err, traceback = traceback }
      end
    end
  end
  list.emits = list.emits - 1
  compact_if_due(list)
  return failures
end

--- Calls the listeners of the event, in the order in which they were added:
--- those that there are when it begins. A listener that raises does not stop
--- the others, and its error is an uncaught exception; so is an `error` that
--- nobody listens to. Listeners can't wait, nor yield.
---@param event any
---@param ... any
---@return boolean called whether there was a listener
function Emitter:emit(event, ...)
  local list = list_of(self, event)
  if list then
    -- After all have run: without a listener of its own, one ends the process.
    for _, failure in ipairs(call_all(self, event, list, ...) or {}) do
      loop.uncaught(failure.err, "uncaught_exception", failure.traceback)
    end
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
    errors.misuse("wait: bad argument 'timeout' (milliseconds from 0 up expected, got %s)", options.show(timeout))
  end
  -- Loaded by the first who waits: many processes only listen.
  local task = require "mw.task"
  local timers = require "mw.timers"
  return task.await(("the event '%s'"):format(tostring(event)), function(done)
    if self.destroyed then
      return done(nil, self.errored or destroyed_error(tostring(event)))
    end
    local timer, awaited, failure
    local function stop()
      remove(self, event, awaited)
      if failure then
        remove(self, "error", failure)
      end
      if timer then
        timer:close()
      end
    end
    awaited = add(self, event, {
      fn = function(...)
        stop()
        if select("#", ...) == 0 then
          done(true)
        else
          done(...)
        end
      end,
    })
    failure = event ~= "error" and add(self, "error", {
      fn = function(err)
        stop()
        done(nil, error_of(err))
      end,
    })
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
  options.argument("class", "name", name, options.name)
  options.optional("class", "parent", parent, options.table)
  local class = {}
  for key, value in pairs(parent or Emitter) do
    class[key] = value
  end
  class.__name, class.__index = name, class
  return class
end

return M
