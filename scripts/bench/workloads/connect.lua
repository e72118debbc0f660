-- A client: so many connections to a port, 50 at a time; reads each to its end.
-- Arguments: port, count.

local mw = require "mw"

local port, count = tonumber(arg[1]), tonumber(arg[2])
local begun = 0

local function run()
  while begun < count do
    begun = begun + 1
    local socket = mw.net.connect(port, "127.0.0.1")
    assert(socket:read() == "x")
    socket:finish()
    socket:wait "close"
  end
end

for _ = 1, 50 do
  mw.go(run)
end
