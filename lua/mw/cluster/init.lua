-- One service on several processes: the door. Which side of it a process sees is
-- decided before its script runs: a worker loads this module at its start.
-- (https://nodejs.org/api/cluster.html)

require "mw.process" -- attaches the parent
local parent = require "mw.process.parent"
local start = require "mw.start"

---@class mw.cluster the master's; a worker has what is said to be in both, and `worker`
---@field is_master boolean in both
---@field is_worker boolean in both
---@field worker mw.ClusterWorker? the worker's own object
---@field workers table<integer, mw.MasterWorker> by id; one leaves after its `disconnect` and its `exit`
---@field settings table what setup_master() has made of the settings; empty before
---@field scheduling_policy mw.SchedulingPolicy counts until the first setup_master() or fork()
---@field setup_master fun(settings?: table)
---@field fork fun(env?: table): mw.MasterWorker
---@field disconnect fun(callback?: fun())
---@field on fun(event: string, fn: function): mw.cluster in both, as the others of an emitter
---@field SCHED_RR "rr" in both, as the others: the next free worker
---@field SCHED_NONE "none" workers share the listening socket
---@field SCHED_LEAST "least" fewest open connections
---@field SCHED_REUSEPORT "reuseport" the kernel spreads
---@field SCHED_STICKY "sticky" same client address, same worker

local side

start.run(function()
  side = parent.worker and require("mw.cluster.inside").start(parent.worker) or require "mw.cluster.master"
end)

if not start.is_to_come() then
  return side
end

-- A fork server is a master at most; whoever has this from there gets the side
-- that its worker is on.
return setmetatable({}, {
  __index = function(_, name)
    return side[name]
  end,
  __newindex = function(_, name, value)
    side[name] = value
  end,
})
