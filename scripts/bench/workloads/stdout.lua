-- Reads 500 MB from a child's stdout and prints the MB/s.

local mw = require "mw"

local bytes = 0
local start = mw.process.hrtime()
local child = mw.child_process.spawn("head", { "-c", "500000000", "/dev/zero" })
child.stdout:on("data", function(chunk)
  bytes = bytes + #chunk
end)
child:wait "close"
assert(bytes == 500000000)
print(bytes / 1e6 / ((mw.process.hrtime() - start) / 1e9))
