-- Which process a pid means: the same number may be another's by now. (proc(5))

local M = {}

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read "a"
  file:close()
  return text
end

--- Names the time since the machine was started: it, and all clocks and start
--- times, are others after the next start.
---@return string
function M.boot_id()
  return (read "/proc/sys/kernel/random/boot_id" or ""):match "%S*"
end

-- Behind the name, which may have spaces and brackets: the state, and as the
-- 20th from there the start time.
local pattern = "^.*%) (%S)" .. (" %S+"):rep(18) .. " (%d+)"

--- When a process was started, in ticks of the system; nil where there is none,
--- or it has ended and waits to be reaped.
---@param pid integer
---@return integer?
function M.start_time(pid)
  local state, ticks = (read(("/proc/%d/stat"):format(pid)) or ""):match(pattern)
  if state and state ~= "Z" and state ~= "X" then
    return math.tointeger(tonumber(ticks))
  end
end

return M
