-- Forks workers from a fork server, and prints the mean of their proportional
-- set sizes in KiB once all are idle: fork_memory.lua COUNT MODULE... Each must
-- still answer.

local mw = require "mw"

local count = tonumber(arg[1])
local opts = { cwd = arg[0]:match "^(.*)/", preload = { table.unpack(arg, 2) } }
local children = {}
for index = 1, count do
  children[index] = mw.child_process.fork("fork_worker.lua", {}, opts)
end
for _, child in ipairs(children) do
  assert(child:wait "message")
end

local total = 0
for _, child in ipairs(children) do
  local file = assert(io.open(("/proc/%d/smaps_rollup"):format(child.pid)))
  total = total + tonumber(file:read("a"):match "\nPss:%s+(%d+)")
  file:close()
end

for _, child in ipairs(children) do
  child:send "are you there?"
end
for _, child in ipairs(children) do
  assert(child:wait "message" == "are you there?")
  child:disconnect()
end
print(total / count)
