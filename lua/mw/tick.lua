-- The tick queue: what is to run as soon as the code that runs now has
-- returned to the loop, before any other event. (Node: process.nextTick.)

local loop = require "mw.core.loop"

local M = {}

local queue, first, last = {}, 1, 0

-- Each function leaves the queue before it runs: one that raises is the
-- host's to report, and the host comes back for the rest.
loop.set_hook("tick", function()
  while first <= last do
    local entry = queue[first]
    queue[first] = nil
    first = first + 1
    if type(entry) == "function" then
      entry()
    else
      entry.fn(table.unpack(entry, 1, entry.n))
    end
  end
  first, last = 1, 0
end)

--- Runs `fn(...)` once the running code has returned to the loop.
---@param fn function
---@param ... any
function M.add(fn, ...)
  local entry = fn
  if select("#", ...) > 0 then
    entry = table.pack(...)
    entry.fn = fn
  end
  last = last + 1
  queue[last] = entry
  loop.request_tick()
end

return M
