-- The shared ports that a worker serves.

local M = {
  --- What the master may ask for, by `act`.
  ---@type table<string, fun(message: table, descriptor: integer|false|nil, reply: mw.ClusterReply)>
  commands = {},
}

--- Lets servers and UDP sockets get their handles from the master.
---@param link mw.ClusterLink
function M.start(link)
  M.link = link
end

--- Closes all, and calls `done` once each has emitted `close`.
---@param done fun()
function M.close_all(done)
  done()
end

return M
