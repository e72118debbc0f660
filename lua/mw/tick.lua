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
    elseif entry.n then
      entry[1](table.unpack(entry, 2, entry.n + 1))
    else
      entry[1](entry[2])
    end
  end
  first, last = 1, 0
end)

--- Runs `fn(...)` once the running code has returned to the loop.
---@param fn function
---@param ... any
function M.add(fn, ...)
  local count = select("#", ...)
  local entry = fn
  if count == 1 then
    entry = { fn, (...) } -- the usual case, in the least memory
  elseif count > 1 then
    entry = { n = count, fn, ... }
  end
  last = last + 1
  queue[last] = entry
  loop.request_tick()
end

return M
