-- Starts 200 children at once and prints the microseconds for each until the
-- last has ended.

local mw = require "mw"

local left = 200
local start = mw.process.hrtime()
for _ = 1, left do
  mw.child_process.spawn("/bin/true"):on("exit", function()
    left = left - 1
    if left == 0 then
      print((mw.process.hrtime() - start) / 1000 / 200)
    end
  end)
end
