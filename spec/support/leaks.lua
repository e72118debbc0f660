-- What a test must not leave behind: descriptors, children, handles.

local uv = require "luv"

local M = {}

--- The open descriptors of a process, by number, with what they are.
---@param pid? integer this process where absent
---@return table<integer, string>
function M.descriptors(pid)
  local folder = ("/proc/%s/fd"):format(pid or "self")
  local found = {}
  local names = {}
  local scan = assert(uv.fs_scandir(folder))
  for name in uv.fs_scandir_next, scan do
    names[#names + 1] = name
  end
  for _, name in ipairs(names) do
    -- The descriptor of the scan itself is gone again by now.
    local target = uv.fs_readlink(folder .. "/" .. name)
    if target then
      found[tonumber(name)] = target
    end
  end
  return found
end

---@return integer
function M.descriptor_count()
  local count = 0
  for _ in pairs(M.descriptors()) do
    count = count + 1
  end
  return count
end

--- The pids of our children, also of those that wait to be reaped.
---@return integer[]
function M.children()
  local pids = {}
  local file = io.open(("/proc/%d/task/%d/children"):format(uv.os_getpid(), uv.os_getpid()))
  if file then
    for pid in file:read("a"):gmatch "%d+" do
      pids[#pids + 1] = tonumber(pid)
    end
    file:close()
  end
  return pids
end

--- How many handles of luv are open that would keep the loop alive.
---@return integer
function M.handle_count()
  local count = 0
  uv.walk(function(handle)
    if handle:is_active() and handle:has_ref() and not handle:is_closing() then
      count = count + 1
    end
  end)
  return count
end

return M
