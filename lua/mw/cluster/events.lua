-- The events of the cluster as a whole, whose listeners get the worker first.

local emitter = require "mw.emitter"

local M = {
  emitter = emitter.new(),
}

-- Those that return the emitter itself return the module.
local chained = { on = true, once = true, off = true, remove_all_listeners = true }
local names = { "on", "once", "off", "remove_all_listeners", "emit", "wait", "listener_count", "listeners" }

--- Gives a module the methods of an emitter, as plain functions.
---@param module table
---@return table module
function M.add_to(module)
  for _, name in ipairs(names) do
    module[name] = function(...)
      if not chained[name] then
        return M.emitter[name](M.emitter, ...)
      end
      M.emitter[name](M.emitter, ...)
      return module
    end
  end
  return module
end

return M
