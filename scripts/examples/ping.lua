-- A parent and its child, the same script, throw a message to and fro.
--   scripts/run scripts/examples/ping.lua [times]

local child_process = require "mw.child_process"
local process = require "mw.process"

if process.send then
  process.on("message", function(message)
    process.send { text = "pong", count = message.count }
  end)
  return
end

local times = tonumber(arg[1]) or 3
local child = child_process.fork(arg[0])

child:on("message", function(message)
  print(("%s %d from %d"):format(message.text, message.count, child.pid))
  if message.count < times then
    child:send { text = "ping", count = message.count + 1 }
  else
    child:disconnect() -- nothing keeps it alive any more, and it ends
  end
end)
child:on("exit", function(code)
  print("the child has ended with " .. code)
end)
child:send { text = "ping", count = 1 }
