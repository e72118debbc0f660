-- What goes wrong with sockets: error objects that name an address, and misuse
-- that names Node's code.

local errors = require "mw.error"
local options = require "mw.options"

local M = {}

--- A refusal by the system, of one address. The place is part of the sentence
--- and not of `syscall`.
---@param code string
---@param syscall "bind"|"connect"|"send"
---@param address? string nil on a connected socket
---@param port? integer
---@return mw.Error
function M.at(code, syscall, address, port)
  local place = address and ("%s %s:%d"):format(syscall, address, port) or syscall
  return errors.system(code, place, { syscall = syscall, address = address, port = port })
end

local function not_running()
  local code = "ERR_SOCKET_DGRAM_NOT_RUNNING"
  return errors.new(code, code .. ": the socket is closed")
end

--- Why a socket can't be asked nor told anything; nil where it can.
---@param socket mw.DgramSocket
---@return mw.Error?
function M.if_closed(socket)
  return not socket._handle and not_running() or nil
end

--- Why a socket takes nothing more to do, which is so since close() was called.
---@param socket mw.DgramSocket
---@return mw.Error?
function M.if_closing(socket)
  return (not socket._handle or socket._close_is_due) and not_running() or nil
end

--- Raises where an argument is not what its check expects.
---@param what string the function that takes it
---@param name string
---@param value any
---@param check mw.Check
---@param code string Node's
function M.check(what, name, value, check, code)
  local expected = check(value)
  if expected then
    errors.misuse("%s: bad argument '%s' (%s expected, got %s) (%s)", what, name, expected, options.show(value), code)
  end
end

--- Raises for a call that does not fit what the socket is doing.
---@param what string the function
---@param state string what is in the way
---@param code string Node's
function M.misuse(what, state, code)
  errors.misuse("%s: %s (%s)", what, state, code)
end

return M
