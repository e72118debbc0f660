-- How long to wait after so many failures in a row: twice as long each time,
-- and never for all at the same moment.

local M = {}

-- By how much of itself a delay may be shorter or longer.
local spread = 0.1

--- The delay before the next attempt.
---@param failures integer in a row, from 1 up
---@param opts { delay: integer, max_delay: integer } milliseconds
---@param random fun(): number from 0 to 1
---@return integer milliseconds
function M.delay(failures, opts, random)
  local doublings = math.min(failures - 1, 64)
  local delay = math.min(opts.delay * 2.0 ^ doublings, opts.max_delay)
  local spread_delay = delay * (1 - spread + 2 * spread * random())
  return math.min(math.floor(spread_delay), opts.max_delay)
end

return M
