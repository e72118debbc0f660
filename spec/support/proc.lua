-- What /proc tells about processes.

local M = {}

local function read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  -- Nothing where the process ends between the two.
  local text = file:read "a"
  file:close()
  return text
end

---@class spec.ProcStat
---@field state string
---@field ppid integer
---@field group integer
---@field session integer

--- Takes apart a line of /proc/PID/stat.
---@param line string
---@return spec.ProcStat
function M.parse_stat(line)
  local state, ppid, group, session = line:match "^.*%) (%a) (%-?%d+) (%-?%d+) (%-?%d+)"
  return {
    state = state,
    ppid = math.tointeger(ppid),
    group = math.tointeger(group),
    session = math.tointeger(session),
  }
end

--- nil where there is no such process.
---@param pid integer
---@return spec.ProcStat?
function M.stat(pid)
  local line = read(("/proc/%d/stat"):format(pid))
  return line and line ~= "" and M.parse_stat(line) or nil
end

--- How long a process has computed in code of its own, in ticks of 10 ms.
---@param pid integer
---@return integer
function M.user_ticks(pid)
  local fields = read(("/proc/%d/stat"):format(pid)):match "^.*%) (.*)"
  local list = {}
  for field in fields:gmatch "%S+" do
    list[#list + 1] = field
  end
  return math.tointeger(list[12])
end

--- Whether a process runs: one that only waits to be reaped does not.
---@param pid integer
---@return boolean
function M.is_alive(pid)
  local stat = M.stat(pid)
  return stat ~= nil and stat.state ~= "Z" and stat.state ~= "X"
end

--- The words of its command line, each with a NUL byte behind it; nothing where
--- it has ended.
---@param pid integer
---@return string
function M.command_line(pid)
  return read(("/proc/%d/cmdline"):format(pid)) or ""
end

local function all_children(pid)
  return (read(("/proc/%d/task/%d/children"):format(pid, pid)) or ""):gmatch "%d+"
end

--- The pids of the processes that this one has started and that run.
---@param pid integer
---@return integer[]
function M.children(pid)
  local pids = {}
  for name in all_children(pid) do
    local child = math.tointeger(name)
    pids[#pids + 1] = M.is_alive(child) and child or nil
  end
  table.sort(pids)
  return pids
end

--- Whether one of them has ended, and waits to be reaped.
---@param pid integer
---@return boolean
function M.has_zombies(pid)
  for name in all_children(pid) do
    local stat = M.stat(math.tointeger(name))
    if stat and stat.state == "Z" then
      return true
    end
  end
  return false
end

--- The pids of all processes that run with these bytes in their environment.
---@param text string
---@return integer[]
function M.with_environment(text)
  local pids = {}
  for _, name in ipairs(require("spec.support.scratch").names "/proc") do
    local pid = math.tointeger(name)
    local environment = pid and read(("/proc/%d/environ"):format(pid))
    if environment and environment:find(text, 1, true) and M.is_alive(pid) then
      pids[#pids + 1] = pid
    end
  end
  return pids
end

--- A field of the text of /proc/PID/status.
---@param text string
---@param name string
---@return string?
function M.status_field(text, name)
  return ("\n" .. text):match("\n" .. name .. ":%s*([^\n]*)")
end

--- The soft and the hard value of a limit in the text of /proc/PID/limits.
---@param text string
---@param title string as it stands there
---@return string soft
---@return string hard
function M.limit(text, title)
  return ("\n" .. text):match("\n" .. title .. "%s+(%S+)%s+(%S+)")
end

return M
