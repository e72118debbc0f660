-- Signals as events of an emitter: a listener of "SIGTERM" replaces the
-- default action, and when the last is gone that is back.

local errors = require "mw.error"
local system = require "mw.core.system"
local uv = require "mw.uv"

local M = {
  --- The highest number that a signal can have.
  highest = 64,
}

-- Of most events the name tells that they are none: the table stays unmade.
local function number_of(name)
  return name:find "^SIG" and require("mw.core.process").signals[name]
end

local untouchable = { SIGKILL = true, SIGSTOP = true }

--- The number of a signal: a name in any letter case, or a number. Raises for
--- a name that there is not.
---@param what string the function that got it
---@param signal string|integer
---@return integer
function M.number(what, signal)
  if type(signal) == "number" then
    local number = math.tointeger(signal)
    if number then
      return number
    end
  elseif type(signal) == "string" then
    local number = number_of(signal:upper())
    if number then
      return number
    end
    errors.misuse("%s: unknown signal '%s' (ERR_UNKNOWN_SIGNAL)", what, signal)
  end
  errors.misuse("%s: bad argument 'signal' (name or number of a signal expected, got %s)", what, tostring(signal))
end

--- The same for an option that must be a real signal; returns what options
--- expect of a check.
---@param signal any
---@return string? expected
function M.check(signal)
  local number = type(signal) == "string" and number_of(signal:upper()) or math.type(signal) and math.tointeger(signal)
  if not number or number < 1 or not require("mw.core.process").signal_name(number) then
    return "name or number of a signal"
  end
end

--- Makes a function that lets the emitter's signal events follow its listeners,
--- and one for the end of the process: what is listened to then does nothing any
--- more, where the default action would come back with the end of the loop.
---@return fun(emitter: mw.Emitter, event: any, has: boolean) follow
---@return fun() hold
function M.follower()
  local watchers = {}
  local function hold()
    for event in pairs(watchers) do
      system.hold_signal(number_of(event))
    end
  end
  local function follow(self, event, has)
    local number = type(event) == "string" and number_of(event)
    if not number then
      return
    elseif has then
      if untouchable[event] then
        self:remove_all_listeners(event)
        errors.misuse("on: the kernel lets no process listen to %s", event)
      end
      local watcher = uv.new_signal()
      watcher:unref()
      local ok, text, code = watcher:start(number, function()
        self:emit(event, event, number)
      end)
      if not ok then
        watcher:close()
        self:remove_all_listeners(event)
        error(errors.from_luv(text, code, "signal " .. event), 0)
      end
      watchers[event] = watcher
    elseif watchers[event] then
      watchers[event]:close()
      watchers[event] = nil
      system.restore_signal(number)
    end
  end
  return follow, hold
end

return M
