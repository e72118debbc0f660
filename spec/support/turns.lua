-- Lets the loop turn: for what must not happen, and would in one of the next
-- turns if it did.

local mw = require "mw"

--- Waits for so many turns of the loop, in a task or in a test.
---@param count? integer 10 where absent
return function(count)
  for _ = 1, count or 10 do
    mw.go(function() end):join()
  end
end
