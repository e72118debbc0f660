-- Abort tokens: one side holds the controller and may abort, the others get
-- its signal. (https://nodejs.org/api/globals.html#class-abortcontroller)

local emitter = require "mw.emitter"
local errors = require "mw.error"

---@class mw.AbortSignal: mw.Emitter
---@field aborted boolean
---@field reason any what abort() was given
local AbortSignal = emitter.class "mw.abort_signal"

---@class mw.AbortController
---@field signal mw.AbortSignal
local AbortController = { __name = "mw.abort_controller" }
AbortController.__index = AbortController

--- Aborts, the first time only: sets `aborted` and `reason` of the signal and
--- emits its event `abort`.
---@param reason? any an ABORT_ERR error object where absent
function AbortController:abort(reason)
  local signal = self.signal
  if signal.aborted then
    return
  end
  if reason == nil then
    reason = errors.new("ABORT_ERR", "ABORT_ERR: this operation was aborted")
  end
  signal.aborted, signal.reason = true, reason
  signal:emit("abort", reason)
end

--- Makes a controller.
---@return mw.AbortController
return function()
  local signal = setmetatable({ aborted = false }, AbortSignal)
  return setmetatable({ signal = signal }, AbortController)
end
