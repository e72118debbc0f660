-- Collects the uncaught exceptions of a piece of code.

local process = require "mw.process"

---@class spec.Uncaught
---@field error any
---@field origin string
---@field traceback string?

--- Runs `fn(list)`; errors that nobody catches meanwhile go into the list,
--- which is returned, instead of ending the process.
---@param fn fun(list: spec.Uncaught[])
---@return spec.Uncaught[]
return function(fn)
  local list = {}
  local function collect(err, origin, traceback)
    list[#list + 1] = { error = err, origin = origin, traceback = traceback }
  end
  process.on("uncaught_exception", collect)
  local ok, err = pcall(fn, list)
  process.off("uncaught_exception", collect)
  if not ok then
    error(err, 0)
  end
  return list
end
