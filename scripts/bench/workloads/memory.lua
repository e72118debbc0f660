-- Starts 20 processes of the program given, waits until each has said that it
-- is up, and prints the mean of their proportional set sizes in KiB.

local mw = require "mw"

local count, children = 20, {}
for index = 1, count do
  children[index] = mw.child_process.spawn(arg[1], { table.unpack(arg, 2) }, { stdio = { "pipe", "pipe", "inherit" } })
  assert(children[index].stdout:read())
end
local total = 0
for _, child in ipairs(children) do
  local file = assert(io.open(("/proc/%d/smaps_rollup"):format(child.pid)))
  total = total + tonumber(file:read("a"):match "\nPss:%s+(%d+)")
  file:close()
end
for _, child in ipairs(children) do
  child:kill()
end
print(total / count)
