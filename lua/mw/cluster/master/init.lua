-- The cluster in its master: starting workers, watching them, letting all go.

local Link = require "mw.cluster.messages"
local MasterWorker = require "mw.cluster.master.worker"
local child_process = require "mw.child_process"
local errors = require "mw.error"
local events = require "mw.cluster.events"
local fd = require "mw.core.fd"
local heritage = require "mw.child_process.heritage"
local listeners = require "mw.cluster.master.listeners"
local options = require "mw.options"
local outlets = require "mw.cluster.master.outlets"
local policies = require "mw.cluster.policies"
local process = require "mw.process"
local reports = require "mw.cluster.master.reports"
local settings = require "mw.cluster.settings"
local slots = require "mw.cluster.master.slots"
local tick = require "mw.tick"

local M = events.add_to {
  is_master = true,
  is_worker = false,
  workers = {},
  settings = {},
  scheduling_policy = policies.from_environment(),
}

for name, value in pairs(policies.constants) do
  M[name] = value
end

listeners.workers = M.workers

-- Settings ------------------------------------------------------------------

local policy

-- From the first time on it stays.
local function freeze_policy(chosen)
  options.argument("cluster", "scheduling_policy", chosen, policies.check)
  policy, M.scheduling_policy = chosen, chosen
  listeners.set_policy(policy)
end

--- Sets how workers are started from now on: exec (the script; ours where
--- absent) exec_path exec_argv args cwd silent serialization uid gid stdio
--- preload die_with_parent, as for fork, and scheduling_policy, which counts the first time
--- only. A later call changes the keys that it has. `setup` follows, with the
--- settings.
---@param changes? table
function M.setup_master(changes)
  local merged = settings.merge(M.settings, changes)
  if not policy then
    freeze_policy(merged.scheduling_policy or M.scheduling_policy)
  end
  merged.scheduling_policy = merged.scheduling_policy and policy
  M.settings = merged
  tick.add(events.emitter.emit, events.emitter, "setup", merged)
end

-- Workers ---------------------------------------------------------------------

local last_id = 0

-- The callbacks of disconnect(); nil where nobody waits for the end of all.
local disconnect_callbacks

local function tell_disconnected()
  listeners.close_all()
  local callbacks = disconnect_callbacks
  disconnect_callbacks = nil
  for _, callback in ipairs(callbacks) do
    tick.add(callback)
  end
end

---@type mw.MasterWorkerHooks
local hooks = { gone = listeners.worker_gone }

function hooks.take(worker, message, descriptor, reply)
  local command = listeners.commands[message.act]
  if command then
    return command(worker, message, descriptor, reply)
  elseif descriptor then
    fd.close(descriptor)
  end
  local report = reports[message.act]
  if report then
    report(worker, message, reply)
  end
end

function hooks.over(worker)
  M.workers[worker.id] = nil
  slots.leave(worker)
  if next(M.workers) == nil and disconnect_callbacks then
    tell_disconnected()
  end
end

local function environment(env, identity)
  local merged = {}
  for _, part in ipairs { process.env, env or {} } do
    for name, value in pairs(part) do
      merged[name] = value
    end
  end
  merged.MW_UNIQUE_ID, merged.MW_WORKER_SLOT = identity.id, identity.slot
  return merged
end

local function start(env, identity)
  local current = M.settings
  if not current.exec then
    errors.misuse "fork: there is no script that a worker could run: set 'exec' by setup_master()"
  end
  return child_process.fork(current.exec, current.args, settings.fork_options(current, environment(env, identity)))
end

local function enter(worker)
  last_id = math.max(last_id, worker.id)
  M.workers[worker.id] = worker
  slots.occupy(worker)
end

--- Starts a worker in a place, whoever has it.
---@param env? table<string, any>
---@param slot integer
---@return mw.MasterWorker
function M._fork(env, slot)
  options.optional("fork", "env", env, options.table)
  M.setup_master()
  local identity = { id = last_id + 1, slot = slot }
  local worker = MasterWorker.new(identity, start(env, identity), hooks)
  enter(worker)
  tick.add(events.emitter.emit, events.emitter, "fork", worker)
  return worker
end

--- Starts a worker. `fork` follows, then `online`. (Node: cluster.fork)
---@param env? table<string, any> is added to our environment
---@return mw.MasterWorker
function M.fork(env)
  return M._fork(env, slots.smallest_free())
end

---@class mw.ClusterHeritage what the next image of the master needs
---@field last_id integer
---@field workers mw.MasterWorkerHeritage[] each with its `outlet`, where it has one
---@field listeners mw.ListenersHeritage

--- Lets the master accept nothing for now, or again.
---@type fun(paused: boolean)
M._set_paused = listeners.set_paused

--- Whether nothing is under way between workers and master but what the kernel
--- has.
---@return boolean
function M._is_quiet()
  for _, worker in pairs(M.workers) do
    if not worker:is_quiet() then
      return false
    end
  end
  return listeners.are_quiet()
end

--- What there is, while it is quiet.
---@return mw.ClusterHeritage
function M._heritage()
  local list = {}
  for _, worker in pairs(M.workers) do
    local outlet = outlets.of(worker)
    local from = worker:heritage()
    from.outlet = outlet and { fd = outlet:fileno() }
    list[#list + 1] = from
  end
  table.sort(list, function(a, b)
    return a.id < b.id
  end)
  return { last_id = last_id, workers = list, listeners = listeners.heritage() }
end

--- Gives no id up to this one to a new worker.
---@param last integer
function M._skip_ids(last)
  last_id = math.max(last_id, last)
end

--- Goes on with a worker of a master before this one. What it serves, it will
--- tell.
---@param from mw.MasterWorkerHeritage
---@return mw.MasterWorker
function M._take_over(from)
  local worker = MasterWorker.adopt(from, hooks)
  enter(worker)
  return worker
end

--- Lets a worker end that has connected to us and is not ours.
---@param descriptor integer
function M._turn_away(descriptor)
  local child = heritage.connected(descriptor)
  local link = Link.new(child.channel, function(_, received)
    if received then
      fd.close(received)
    end
  end)
  link:send { act = "turn_away" }
  child:disconnect()
end

--- Goes on with what an earlier image of this process has had.
---@param from mw.ClusterHeritage
function M._adopt(from)
  M.setup_master()
  for _, each in ipairs(from.workers) do
    local worker = MasterWorker.adopt(each, hooks)
    enter(worker)
    if each.outlet then
      listeners.adopt_outlet(worker, each.outlet.fd)
    end
  end
  last_id = from.last_id
  listeners.adopt(from.listeners)
end

--- Asks all workers to end; `callback` is called once there is none and their
--- ports are closed. (Node: cluster.disconnect)
---@param callback? fun()
function M.disconnect(callback)
  options.optional("disconnect", "callback", callback, options.callback)
  disconnect_callbacks = disconnect_callbacks or {}
  disconnect_callbacks[#disconnect_callbacks + 1] = callback
  if next(M.workers) == nil then
    return tell_disconnected()
  end
  local workers = {}
  for _, worker in pairs(M.workers) do
    workers[#workers + 1] = worker
  end
  for _, worker in ipairs(workers) do
    worker:disconnect()
  end
end

return M
