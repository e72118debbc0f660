-- What the master and its workers have to say: goes to the master's own standard
-- streams. A full disk, or a reader that has gone, is no reason to end a
-- service: what can't be written then is lost, and what follows is tried again.

local fd = require "mw.core.fd"
local system = require "mw.core.system"

local M = {}

local descriptors = { stdout = 1, stderr = 2 }

--- Writes whole lines, after what `print` and `io.write` still hold.
---@param stream "stdout"|"stderr"
---@param text string
function M.write(stream, text)
  system.flush_stdout()
  fd.write_all(descriptors[stream], text)
end

--- Tells what the master itself has to say.
---@param text string
function M.log(text)
  M.write("stderr", "mwrun: " .. text .. "\n")
end

return M
