-- Dates, as headers have them. (RFC 9110, 5.6.7)

local M = {}

local days = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local months = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

--- "Sun, 06 Nov 1994 08:49:37 GMT", in whatever locale the script is.
---@param seconds integer since 1970
---@return string
function M.format(seconds)
  local time = os.date("!*t", seconds)
  return ("%s, %02d %s %04d %02d:%02d:%02d GMT"):format(days[time.wday], time.day, months[time.month], time.year,
    time.hour, time.min, time.sec)
end

return M
