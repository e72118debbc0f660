-- The ports that workers share, in the master: who serves which.

local PassingPort = require "mw.cluster.master.passing"
local SharedPort = require "mw.cluster.master.shared"
local SpreadPort = require "mw.cluster.master.spread"
local core = require "mw.core.dispatcher"
local fd = require "mw.core.fd"
local net = require "mw.net"
local target = require "mw.cluster.master.target"
local timers = require "mw.timers"

local M = {
  --- What workers may ask for, by `act`.
  ---@type table<string, fun(worker: mw.MasterWorker, message: table, descriptor: integer|false|nil, reply: mw.ClusterReply)>
  commands = {},
}

---@class mw.Listener
---@field key integer
---@field name string
---@field port mw.ClusterPort
---@field members table<mw.MasterWorker, mw.PortMember>

---@type table<string, mw.Listener>
local by_name = {}
---@type table<integer, mw.Listener>
local by_key = {}
local last_key = 0

---@type table<mw.MasterWorker, mw.PortMember>
local members = {}
---@type table<userdata, mw.PortMember>
local members_by_outlet = {}

-- Policies ---------------------------------------------------------------------

---@type mw.SchedulingPolicy
local policy

--- Takes the policy that counts from now on.
---@param chosen mw.SchedulingPolicy
function M.set_policy(chosen)
  policy = chosen
end

-- Asks the program; what it raises is an uncaught exception, and the connection
-- is given to whose turn it is.
local function pick(outlets, descriptor)
  local workers = {}
  for index, outlet in ipairs(outlets) do
    workers[index] = members_by_outlet[outlet].worker
  end
  local ends = net._ends_of(descriptor)
  local here, there = ends["local"] or {}, ends.remote or {}
  local chosen = policy(workers, {
    remote_address = there.address,
    remote_port = there.port,
    local_address = here.address,
    local_port = here.port,
  })
  local member = members[chosen]
  if not member then
    error("the scheduling policy has returned no worker: " .. tostring(chosen), 0)
  end
  return member.outlet
end

-- Who accepts at a port: what can have no second socket is shared.
local function open_port(key, what)
  local accepting = core.accepting(type(policy) == "function" and "custom" or policy)
  if what.type or accepting == "shared" then
    return SharedPort.open(what)
  elseif accepting == "master" then
    return PassingPort.open(key, what, type(policy) == "function" and "custom" or policy, pick)
  elseif what.path or what.fd then
    return SharedPort.open(what)
  end
  return SpreadPort.open(key, what)
end

-- Ports --------------------------------------------------------------------------

local function forget(listener)
  by_name[listener.name], by_key[listener.key] = nil, nil
  listener.port:close()
end

local function is_served(listener)
  return next(listener.members) ~= nil
end

-- Who has been started and does not listen yet.
local function is_starting(worker)
  return (worker.state == "none" or worker.state == "online") and not worker.exited_after_disconnect
end

local function awaits_a_worker()
  for _, worker in pairs(M.workers) do
    if is_starting(worker) then
      return true
    end
  end
  return M.is_held
end

-- A worker that died may have a successor, for whom its connections wait: as
-- long as one is starting, or for a while.
local check_interval, longest_wait = 20, 10000

local function wait_for_successor(listener)
  local waited = 0
  local timer
  timer = timers.set_interval(function()
    waited = waited + check_interval
    local is_over = by_key[listener.key] ~= listener or is_served(listener)
    if not is_over and (not awaits_a_worker() or waited > longest_wait and not M.is_held) then
      forget(listener)
      is_over = true
    end
    if is_over then
      timers.clear_interval(timer)
    end
  end, check_interval)
  timer:unref()
end

local function leave(listener, worker, has_died)
  listener.port:leave(listener.members[worker])
  listener.members[worker] = nil
  if is_served(listener) then
    return
  elseif has_died or M.is_held then
    timers.set_immediate(wait_for_successor, listener)
  else
    forget(listener)
  end
end

-- Workers --------------------------------------------------------------------------

-- Ends the way to a worker; what it has not taken goes to others.
local function close_outlet(member)
  members_by_outlet[member.outlet] = nil
  if members[member.worker] == member then
    members[member.worker] = nil
  end
  member.outlet:close()
end

local function open_outlet(worker)
  local ours, theirs = core.pair()
  if not ours then
    return nil, theirs
  end
  local member = { worker = worker, slot = worker.slot }
  local outlet, code = core.outlet(ours, function()
    M.worker_gone(worker)
    close_outlet(member)
  end)
  if not outlet then
    fd.close(ours)
    fd.close(theirs)
    return nil, code
  end
  outlet:set_active(worker._is_inactive ~= true)
  worker._link:send({ act = "intake", counts = policy == "least" }, theirs)
  fd.close(theirs)
  member.outlet = outlet
  members[worker], members_by_outlet[outlet] = member, member
  return member
end

--- Whether a worker is to be given connections; it is, unless this was called.
---@param worker mw.MasterWorker
---@param active boolean
function M.set_active(worker, active)
  worker._is_inactive = not active
  worker._link:send { act = "set_active", active = active }
  if members[worker] then
    members[worker].outlet:set_active(active)
  end
end

--- A worker can serve no more.
---@param worker mw.MasterWorker
function M.worker_gone(worker)
  for _, listener in pairs(by_key) do
    if listener.members[worker] then
      leave(listener, worker, not worker.exited_after_disconnect)
    end
  end
end

--- Closes all: no worker is left.
function M.close_all()
  for _, listener in pairs(by_key) do
    forget(listener)
  end
end

-- Requests -------------------------------------------------------------------------

local function listener_of(what, number)
  local name = target.name(what, number)
  local listener = by_name[name]
  if listener then
    return listener
  end
  local key = last_key + 1
  local port, err = open_port(key, what)
  if not port then
    return nil, err
  end
  last_key = key
  listener = { key = key, name = name, port = port, members = {} }
  by_name[name], by_key[key] = listener, listener
  return listener
end

local function join(listener, worker)
  local member, err = members[worker], nil
  if not member then
    member, err = open_outlet(worker)
  end
  if not member then
    return nil, err
  end
  local descriptor
  if not listener.members[worker] then
    listener.members[worker] = member
    descriptor, err = listener.port:join(member)
    if err then
      leave(listener, worker)
    end
  end
  return err == nil, err or descriptor
end

local function refuse(reply, err)
  if type(err) == "table" then
    return reply { code = err.code, syscall = err.syscall }
  end
  return reply { code = err }
end

--- A worker wants to serve a port. One that is on its way out gets no answer.
function M.commands.query_server(worker, message, descriptor, reply)
  if descriptor then
    fd.close(descriptor)
  end
  local what, number = target.of(message)
  if worker.exited_after_disconnect or worker:is_dead() or not worker:is_connected() then
    return
  elseif not what then
    return refuse(reply, "EINVAL")
  end
  local listener, err = listener_of(what, number)
  if not listener then
    return refuse(reply, err)
  end
  local ok, socket = join(listener, worker)
  if not ok then
    if by_key[listener.key] == listener and not is_served(listener) then
      forget(listener)
    end
    return refuse(reply, socket)
  end
  local port = listener.port
  reply({ key = listener.key, address = what.path or port.address, exclusive = port.exclusive }, socket)
end

--- It does so no more.
function M.commands.close(worker, message, descriptor)
  if descriptor then
    fd.close(descriptor)
  end
  local listener = by_key[message.key]
  if listener and listener.members[worker] then
    leave(listener, worker, false)
  end
end

return M
