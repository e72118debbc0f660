-- Forks a worker again and again, one after the other, and prints the median
-- from fork() to its first message in microseconds: fork.lua [MODULE...], with
-- modules from a fork server.

local mw = require "mw"

local folder = arg[0]:match "^(.*/)" or ""
local worker = folder .. "fork_worker.lua"
local opts = arg[1] and { preload = { table.unpack(arg) }, cwd = folder .. "." } or {}
if opts.cwd then
  worker = "fork_worker.lua"
end

local function once()
  local start = mw.process.hrtime()
  local child = mw.child_process.fork(worker, {}, opts)
  assert(child:wait "message")
  local took = mw.process.hrtime() - start
  child:disconnect()
  child:wait "close"
  return took / 1000
end

once()
local times = {}
for _ = 1, 100 do
  table.insert(times, once())
end
table.sort(times)
print(times[#times // 2])
