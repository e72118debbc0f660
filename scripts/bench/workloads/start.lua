-- Starts an interpreter with an empty script again and again, and prints the
-- median in microseconds from the start to the end.

local mw = require "mw"

local times = {}
for _ = 1, 200 do
  local start = mw.process.hrtime()
  local result = mw.child_process.spawn_sync(arg[1], { table.unpack(arg, 2) }, { stdio = "ignore" })
  assert(result.status == 0, result.error)
  table.insert(times, (mw.process.hrtime() - start) / 1000)
end
table.sort(times)
print(times[#times // 2])
