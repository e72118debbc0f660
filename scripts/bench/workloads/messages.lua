-- A forked child sends messages as fast as they are taken, a batch (at most
-- 1 MiB of strings) after the callback of the last; prints messages a second.
-- Arguments: serialization, count, "small" or bytes of a string.

local mw = require "mw"

local process = mw.process
local count = tonumber(arg[2])

local function message_of(kind)
  if kind == "small" then
    return { id = 12345, cmd = "update", data = ("x"):rep(26) }
  end
  return ("x"):rep(tonumber(kind))
end

if process.send then
  local message = message_of(arg[3])
  local batch = arg[3] == "small" and 1000 or math.max(1, 1048576 // #message)
  local sent = 0
  local function send_more()
    while sent < count do
      sent = sent + 1
      if sent % batch == 0 then
        return process.send(message, send_more)
      end
      process.send(message)
    end
  end
  process.once("message", send_more)
  return
end

local child = mw.child_process.fork(arg[0], { arg[1], arg[2], arg[3] }, { serialization = arg[1] })
local received, start = 0, nil
child:on("message", function()
  received = received + 1
  if received == count then
    print(count / (process.hrtime() - start) * 1e9)
    child:disconnect()
  end
end)
child:once("spawn", function()
  mw.timers.set_timeout(function()
    start = process.hrtime()
    child:send "go"
  end, 100)
end)
