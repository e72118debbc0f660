-- Forks idle workers, and prints the mean of their proportional set sizes in
-- KiB, the fork server's own included: fork_memory.lua COUNT [MODULE...]. All
-- must still answer.

local mw = require "mw"

local count = tonumber(arg[1])
local opts = { cwd = (arg[0]:match "^(.*/)" or "") .. ".", preload = { table.unpack(arg, 2) } }
local children = {}
for index = 1, count do
  children[index] = mw.child_process.fork("fork_worker.lua", {}, opts)
end
for _, child in ipairs(children) do
  assert(child:wait "message")
end

local function sum(pid)
  local file = assert(io.open(("/proc/%d/smaps_rollup"):format(pid)))
  local text = file:read "a"
  file:close()
  local function field(name)
    return tonumber(text:match("\n" .. name .. ":%s+(%d+)"))
  end
  return field "Pss", field "Private_Dirty" + field "Private_Clean"
end

local total, private = 0, 0
for _, child in ipairs(children) do
  local pss, uss = sum(child.pid)
  total, private = total + pss, private + uss
end
io.stderr:write(("PSS %.1f KiB, USS %.1f KiB\n"):format(total / count, private / count))
print(total / count)
for _, child in ipairs(children) do
  child:disconnect()
end
