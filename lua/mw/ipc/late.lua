-- Modules that most processes with a channel never need.

local M = {}

local handle

--- What turns servers and sockets into descriptors, and back.
---@return table handle mw.ipc.handle
function M.handle()
  handle = handle or require "mw.ipc.handle"
  return handle
end

return M
