-- Small messages go to a forked child and come back, one at a time; prints
-- round trips a second. Arguments: serialization, count.

local mw = require "mw"

local process = mw.process

if process.send then
  process.on("message", process.send)
  return
end

local count = tonumber(arg[2])
local message = { id = 12345, cmd = "update", data = ("x"):rep(26) }
local child = mw.child_process.fork(arg[0], {}, { serialization = arg[1] })
local received, start = -1000, nil -- the first thousand do not count
child:on("message", function()
  received = received + 1
  if received == 0 then
    start = process.hrtime()
  elseif received == count then
    print(count / (process.hrtime() - start) * 1e9)
    return child:disconnect()
  end
  child:send(message)
end)
child:send(message)
