-- Error objects: the one shape in which the system's refusals are returned,
-- handed to callbacks and emitted; and the one way in which misuse is raised.

local describe = require("mw.core.error").describe

---@class mw.Error
---@field code string|integer the kernel's or Node's name, or an exit code
---@field message string a sentence that names the object
---@field errno? integer the kernel's number, negative
---@field syscall? string what was tried: "spawn convert"
---@field path? string the file it was tried on
---@field cause? any what led to it: the reason of an abort
local Error = { __name = "mw.error" }
Error.__index = Error

function Error:__tostring()
  return self.message
end

local M = {}

local nothing = {}

--- Makes an error object.
---@param code string|integer
---@param message string
---@param fields? table more fields; not changed
---@return mw.Error
function M.new(code, message, fields)
  local err = { code = code, message = message }
  for key, value in next, fields or nothing do
    if err[key] == nil then
      err[key] = value
    end
  end
  return setmetatable(err, Error)
end

--- Makes the error object for a refusal of the system.
---@param code string the kernel's name of the error: "ENOENT"
---@param syscall string what was tried, and on what: "spawn convert"
---@param fields? table more fields; not changed. `syscall` where that is to be less than the sentence says
---@return mw.Error
function M.system(code, syscall, fields)
  local text, number = describe(code)
  local message = ("%s: %s, %s"):format(code, text or "unknown error", syscall)
  local err = M.new(code, message, fields)
  err.errno, err.syscall = number, err.syscall or syscall
  return err
end

--- Makes the error object for what luv returned beside nil.
---@param text string "ENOENT: no such file or directory: x"
---@param code? string the third value, which not every function of luv gives
---@param syscall string
---@param fields? table
---@return mw.Error
function M.from_luv(text, code, syscall, fields)
  return M.system(code or text:match("^%u[%u%d]+") or "UNKNOWN", syscall, fields)
end

--- What an aborted token makes of an operation.
---@param token mw.AbortSignal
---@return mw.Error
function M.aborted(token)
  return M.new("ABORT_ERR", "ABORT_ERR: the operation was aborted", { cause = token.reason })
end

---@param value any
---@return boolean
function M.is_error(value)
  return getmetatable(value) == Error
end

-- Where the library's own files are, as their chunk names begin.
local library = debug.getinfo(1, "S").source:match("^(.*)error%.lua$")

local function caller_level()
  local level = 3
  local info = debug.getinfo(level, "S")
  while info and (info.what == "C" or info.source:sub(1, #library) == library) do
    level = level + 1
    info = debug.getinfo(level, "S")
  end
  return level
end

--- Raises an error for a call that can't be meant, at the position of the
--- code outside the library that made it.
---@param message string
---@param ... any values for the places in it, as for string.format
function M.misuse(message, ...)
  if select("#", ...) > 0 then
    message = message:format(...)
  end
  error(message, caller_level() - 1)
end

return M
