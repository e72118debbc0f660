-- Runs the mwrun under test as a user would, with a time limit.

local child_process = require "mw.child_process"
local process = require "mw.process"

--- Runs it with these arguments to its end; returns what spawn_sync returns.
--- After a minute it gets SIGKILL, and the result has the error ETIMEDOUT.
---@param args string[]
---@param opts? table options of spawn_sync
---@return mw.SyncResult
return function(args, opts)
  local all = { timeout = 60000, kill_signal = "SIGKILL" }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  return child_process.spawn_sync(process.exec_path, args, all)
end
