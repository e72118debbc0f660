-- Events of an emitter, written down as they come.

local M = {}

--- Writes down events, each as { name, n = count, values... }.
---@param emitter mw.Emitter
---@param ... string
---@return table[] fills as they come
function M.record(emitter, ...)
  local events = {}
  for _, name in ipairs { ... } do
    emitter:on(name, function(...)
      events[#events + 1] = { name, n = select("#", ...), ... }
    end)
  end
  return events
end

--- The names of recorded events, in order.
---@param events table[]
---@return string
function M.names(events)
  local names = {}
  for index, event in ipairs(events) do
    names[index] = event[1]
  end
  return table.concat(names, " ")
end

return M
