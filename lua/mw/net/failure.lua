-- Error objects that name an address.

local address = require "mw.net.address"
local errors = require "mw.error"

local M = {}

--- A refusal by the system, of one address. The place is part of the sentence
--- and not of `syscall`.
---@param code string
---@param syscall "listen"|"connect"|"bind"|"accept"
---@param where? string a numeric address, or a path
---@param port? integer
---@return mw.Error
function M.at(code, syscall, where, port)
  local place = where and syscall .. " " .. address.text(where, port) or syscall
  return errors.system(code, place, { syscall = syscall, address = where, port = port })
end

--- The same, from what luv returned beside nil.
---@param text string
---@param code? string
---@param syscall string
---@param where? string
---@param port? integer
---@return mw.Error
function M.from_luv(text, code, syscall, where, port)
  return M.at(code or text:match "^%u[%u%d]+" or "UNKNOWN", syscall, where, port)
end

return M
