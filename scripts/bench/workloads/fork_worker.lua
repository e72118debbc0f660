-- Says that it is there, and ends when its parent lets go of it.

local process = require "mw.process"

process.on("message", function() end)
process.send "up"
