-- Waits for a condition instead of a fixed time. How long is no part of any
-- fact: what is long enough for a busy machine under a sanitizer.

local mw = require "mw"

--- Turns the loop until `condition` returns something true, and returns that;
--- fails after `timeout` milliseconds.
---@param condition fun(): any
---@param timeout? integer 20000 where absent
---@return any
return function(condition, timeout)
  local deadline = mw.process.hrtime() + (timeout or 20000) * 1000000
  while true do
    local value = condition()
    if value then
      return value
    elseif mw.process.hrtime() > deadline then
      error("did not come true in time", 2)
    end
    mw.sleep(2)
  end
end
