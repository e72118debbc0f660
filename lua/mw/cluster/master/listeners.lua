-- The ports that workers share, in the master.

local M = {
  --- What workers may ask for, by `act`.
  ---@type table<string, fun(worker: mw.MasterWorker, message: table, descriptor: integer|false|nil, reply: mw.ClusterReply)>
  commands = {},
}

--- Takes the policy that counts from now on.
---@param policy mw.SchedulingPolicy
function M.set_policy(policy)
  M.policy = policy
end

--- A worker can serve no more.
---@param worker mw.MasterWorker
function M.worker_gone(worker) end -- luacheck: ignore worker

--- Closes all: no worker is left.
function M.close_all() end

return M
