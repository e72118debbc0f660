-- Waits for a condition instead of a fixed time.

local mw = require "mw"

--- Turns the loop until `condition` returns something true, and returns that;
--- fails after `timeout` milliseconds.
---@param condition fun(): any
---@param timeout? integer 5000 where absent
---@return any
return function(condition, timeout)
  local deadline = mw.process.hrtime() + (timeout or 5000) * 1000000
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
