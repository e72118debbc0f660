-- Says that it is there, answers, and ends when its parent lets go of it.

local process = require "mw.process"

process.on("message", function(message)
  process.send(message)
end)
process.send "up"
