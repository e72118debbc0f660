-- Forks a worker again and again, one after the other, and prints the median
-- from fork() to its first message in microseconds: fork.lua [MODULE...]. With
-- modules, the workers come from a fork server that has loaded them.

local mw = require "mw"

local opts = { cwd = arg[0]:match "^(.*)/" }
if arg[1] then
  opts.preload = { table.unpack(arg) }
end

local function once()
  local start = mw.process.hrtime()
  local child = mw.child_process.fork("fork_worker.lua", {}, opts)
  assert(child:wait "message")
  local took = mw.process.hrtime() - start
  child:disconnect()
  child:wait "close"
  return took / 1000
end

once()
local times = {}
for index = 1, 100 do
  times[index] = once()
end
table.sort(times)
print(times[#times // 2])
