-- The way out of the process, on the Lua side: the handlers first, then
-- everything that was written but has not arrived. Whoever has something to
-- say at the exit joins here; the order of modules does not matter.

local loop = require "mw.core.loop"

local M = {
  --- How long flushing may take, in milliseconds.
  flush_timeout = 5000,
}

---@type (fun(status: integer?): integer)?
local handler
local flushers = {}

--- Sets what runs first, once: takes the status (nil at the natural end, where
--- nobody has chosen one), returns the one to end with.
---@param fn fun(status: integer?): integer
function M.set_handler(fn)
  handler = fn
end

--- Adds a function that brings out what waits, within some milliseconds.
---@param fn fun(timeout: integer)
function M.add_flusher(fn)
  flushers[#flushers + 1] = fn
end

-- A handler may ask for the exit itself: what has run does not run again, and
-- what is left still does.
loop.set_hook("exit", function(status)
  local first = handler
  handler = nil
  if first then
    status = first(status)
  end
  while #flushers > 0 do
    table.remove(flushers, 1)(M.flush_timeout)
  end
  return status or 0
end)

return M
