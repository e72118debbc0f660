-- Tests that need a real Node.

local child_process = require "mw.child_process"

local is_there = child_process.spawn_sync("node", { "--version" }).status == 0

local M = {}

--- Declares a test that is pending where Node is not installed.
---@param name string
---@param fn fun()
function M.it(name, fn)
  local busted = require "busted"
  if is_there then
    busted.it(name, fn)
  else
    busted.pending(name .. " (there is no node here)")
  end
end

--- Starts a script in Node with a channel in its format.
---@param path string
---@return mw.Child
function M.start(path)
  return child_process.spawn("node", { path }, {
    stdio = { "ignore", "inherit", "inherit", "ipc" },
    serialization = "json",
  })
end

return M
