-- What a process has in memory, by its pid. (proc(5))

local M = {}

-- A field of a file in /proc/PID, in bytes; nil where the process has gone, or
-- the kernel does not tell.
local function field(pid, name, pattern)
  local file = io.open(("/proc/%d/%s"):format(pid, name), "rb")
  if not file then
    return nil
  end
  local text = file:read "a"
  file:close()
  local kilobytes = text and text:match(pattern)
  return kilobytes and math.tointeger(kilobytes) * 1024
end

--- Resident: pages that it shares with others count in full.
---@param pid integer
---@return integer? bytes
function M.rss(pid)
  return field(pid, "status", "\nVmRSS:%s*(%d+) kB")
end

--- Its proportional share: a page that n processes share counts as an nth. It
--- takes the kernel a walk over all pages.
---@param pid integer
---@return integer? bytes
function M.pss(pid)
  return field(pid, "smaps_rollup", "\nPss:%s*(%d+) kB")
end

return M
