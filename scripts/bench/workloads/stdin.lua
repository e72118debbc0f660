-- Writes 500 MB to a child's stdin, as fast as it takes them, and prints the
-- MB/s.

local mw = require "mw"

local chunk, left = ("x"):rep(50000), 10000
local start = mw.process.hrtime()
local child = mw.child_process.spawn("sh", { "-c", "exec cat > /dev/null" })
mw.go(function()
  for _ = 1, left do
    if not child.stdin:write(chunk) then
      child.stdin:wait "drain"
    end
  end
  child.stdin:finish()
end)
child:wait "close"
print(500 / ((mw.process.hrtime() - start) / 1e9))
