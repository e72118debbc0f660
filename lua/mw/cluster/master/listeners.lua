-- The ports that workers share, in the master: who serves which.

local PassingPort = require "mw.cluster.master.passing"
local SharedPort = require "mw.cluster.master.shared"
local SpreadPort = require "mw.cluster.master.spread"
local core = require "mw.core.dispatcher"
local fd = require "mw.core.fd"
local net = require "mw.net"
local outlets = require "mw.cluster.master.outlets"
local kind_of = require("mw.core.socket").kind
local target = require "mw.cluster.master.target"
local timers = require "mw.timers"

local M = {
  --- What workers may ask for, by `act`.
  ---@type table<string, fun(worker: mw.MasterWorker, message: table, descriptor: integer|false|nil, reply: mw.ClusterReply)>
  commands = {},
  --- Whether workers get the socket of each port, to serve it also when there is
  --- no master; and bring it to the next one.
  lends_sockets = false,
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
local function pick(candidates, descriptor)
  local workers = {}
  for index, outlet in ipairs(candidates) do
    workers[index] = outlets.worker_at(outlet)
  end
  local ends = net._ends_of(descriptor)
  local here, there = ends["local"] or {}, ends.remote or {}
  local chosen = policy(workers, {
    remote_address = there.address,
    remote_port = there.port,
    local_address = here.address,
    local_port = here.port,
  })
  local outlet = chosen ~= nil and outlets.of(chosen)
  if not outlet then
    error("the scheduling policy has returned no worker: " .. tostring(chosen), 0)
  end
  return outlet
end

local function policy_name()
  return type(policy) == "function" and "custom" or policy
end

-- Who accepts at a port: what can have no second socket is shared.
local function open_port(key, what)
  local accepting = core.accepting(policy_name())
  if what.type or accepting == "shared" then
    return SharedPort.open(what)
  elseif accepting == "master" then
    return PassingPort.open(key, what, policy_name(), pick)
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

-- Who has ended, or is about to, and the program has not heard it: it may start
-- another then.
local function is_ending(worker)
  return worker._is_gone or worker._is_cut_off
end

---@type table<fun(): boolean, true>
local keepers = {}

--- Lets somebody who replaces workers keep their ports open: also while nobody
--- serves them, as long as `is_due` says that another worker is to come.
---@param is_due fun(): boolean
function M.keep(is_due)
  keepers[is_due] = true
end

--- Ends that.
---@param is_due fun(): boolean
function M.keep_no_more(is_due)
  keepers[is_due] = nil
end

local function awaits_a_worker()
  for _, worker in pairs(M.workers) do
    if is_starting(worker) or is_ending(worker) then
      return true
    end
  end
  for is_due in pairs(keepers) do
    if is_due() then
      return true
    end
  end
  return false
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
    if not is_over and (not awaits_a_worker() or waited > longest_wait) then
      forget(listener)
      is_over = true
    end
    if is_over then
      timers.clear_interval(timer)
    end
  end, check_interval)
  timer:unref()
end

-- One that is kept alive may leave by itself, and have a successor all the same.
local function leave(listener, worker, has_died)
  listener.port:leave(listener.members[worker])
  listener.members[worker] = nil
  if is_served(listener) then
    return
  elseif has_died or next(keepers) then
    timers.set_immediate(wait_for_successor, listener)
  else
    forget(listener)
  end
end

-- Workers --------------------------------------------------------------------------

--- Whether a worker is to be given connections; it is, unless this was called.
---@param worker mw.MasterWorker
---@param active boolean
function M.set_active(worker, active)
  worker._is_inactive = not active
  worker._link:send { act = "set_active", active = active }
  local outlet = outlets.of(worker)
  if outlet then
    outlet:set_active(active)
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

-- Its servers get nothing more by the way that it had: most often the first that
-- is seen of a worker's death.
local function drop(worker)
  worker._is_cut_off = true
  M.worker_gone(worker)
  outlets.close(worker)
end

-- The next image of the master ---------------------------------------------------

---@class mw.ListenersHeritage
---@field last_key integer
---@field list { key: integer, name: string, members: integer[], port: table }[] members by their ids

--- Whether the master accepts nothing for now.
---@param paused boolean
function M.set_paused(paused)
  for _, listener in pairs(by_key) do
    listener.port:set_paused(paused)
  end
end

--- Whether each connection that the master has accepted is a worker's.
---@return boolean
function M.are_quiet()
  for _, listener in pairs(by_key) do
    if listener.port:waiting() > 0 then
      return false
    end
  end
  return outlets.are_quiet()
end

---@return mw.ListenersHeritage
function M.heritage()
  local list = {}
  for key, listener in pairs(by_key) do
    local members = {}
    for worker in pairs(listener.members) do
      members[#members + 1] = worker.id
    end
    list[#list + 1] = { key = key, name = listener.name, members = members, port = listener.port:heritage() }
  end
  return { last_key = last_key, list = list }
end

local ports = { passing = PassingPort, shared = SharedPort, spread = SpreadPort }

local function enter(key, name, port)
  local listener = { key = key, name = name, port = port, members = {} }
  by_name[name], by_key[key] = listener, listener
  return listener
end

-- A port stays of its kind; another policy may count for it.
local function adopt_port(key, from)
  local name = policy_name()
  local passing = core.accepting(name) == "master" and name or "rr"
  return ports[from.kind].adopt(key, from, passing, pick)
end

local function adopt_listener(from)
  local listener = enter(from.key, from.name, adopt_port(from.key, from.port))
  for _, id in ipairs(from.members) do
    local member = outlets.member(M.workers[id])
    if member then
      listener.members[M.workers[id]] = member
      listener.port:rejoin(member)
    end
  end
  if not is_served(listener) then
    wait_for_successor(listener)
  end
end

--- Goes on with the way to a worker that an earlier image has opened.
---@param worker mw.MasterWorker
---@param descriptor integer
function M.adopt_outlet(worker, descriptor)
  local member = outlets.adopt(worker, descriptor, function()
    drop(worker)
  end)
  worker._is_cut_off = not member or nil
end

--- Goes on with the ports of an earlier image, whose workers are here.
---@param from mw.ListenersHeritage
function M.adopt(from)
  last_key = from.last_key
  for _, each in ipairs(from.list) do
    adopt_listener(each)
  end
end

--- Closes all: no worker is left.
function M.close_all()
  for _, listener in pairs(by_key) do
    forget(listener)
  end
end

-- Requests -------------------------------------------------------------------------

local function obtain(worker)
  local member, err = outlets.obtain(worker, policy == "least", function()
    drop(worker)
  end)
  worker._is_cut_off = not member and worker._is_cut_off or nil
  return member, err
end

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
  return enter(key, name, port)
end

-- What a worker has brought from a master before; nil where it is none such.
local function brought_port(worker, message, what, descriptor)
  local kind, listens = kind_of(descriptor)
  local fits = ports[message.kind] and (listens or what.type and kind == "udp")
  return fits and ports[message.kind].brought(descriptor, what, worker.id) or nil
end

-- The listener of such a socket; the port may be here already, by another worker.
local function reunited(what, number, brought)
  local name = target.name(what, number)
  local listener = by_name[name]
  if listener then
    listener.port:add(brought)
    return listener
  end
  last_key = last_key + 1
  return enter(last_key, name, adopt_port(last_key, brought))
end

-- It has the socket, and serves already.
local function rejoin(listener, worker)
  local member, err = obtain(worker)
  if not member then
    return nil, err
  end
  listener.members[worker] = member
  listener.port:rejoin(member)
  return true
end

local function join(listener, worker)
  local member, err = obtain(worker)
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

local function refuse_join(listener, reply, err)
  if by_key[listener.key] == listener and not is_served(listener) then
    forget(listener)
  end
  refuse(reply, err)
end

local function accept(listener, what, reply, descriptor)
  local port = listener.port
  local reserve = not descriptor and M.lends_sockets and port.reserve and port:reserve()
  reply({
    key = listener.key,
    kind = port.kind,
    address = what.path or port.address,
    exclusive = port.exclusive,
    reserve = reserve and true or nil,
  }, descriptor or reserve or nil)
end

-- It goes on to serve a port that it had from a master before.
local function reunite(worker, message, descriptor, reply)
  local what, number = target.of(message)
  local brought = what and M.lends_sockets and brought_port(worker, message, what, descriptor)
  if not brought then
    fd.close(descriptor)
    return refuse(reply, "EINVAL")
  end
  local listener = reunited(what, number, brought)
  local ok, err = rejoin(listener, worker)
  if not ok then
    return refuse_join(listener, reply, err)
  end
  reply { key = listener.key }
end

--- A worker wants to serve a port. One that is on its way out gets no answer.
function M.commands.query_server(worker, message, descriptor, reply)
  if worker.exited_after_disconnect or worker:is_dead() or not worker:is_connected() then
    return descriptor and fd.close(descriptor)
  elseif descriptor then
    return reunite(worker, message, descriptor, reply)
  end
  local what, number = target.of(message)
  if not what then
    return refuse(reply, "EINVAL")
  end
  local listener, err = listener_of(what, number)
  if not listener then
    return refuse(reply, err)
  end
  local ok, result = join(listener, worker)
  if not ok then
    return refuse_join(listener, reply, result)
  end
  accept(listener, what, reply, result)
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

--- Its end of the way did not get to it: it may ask again.
function M.commands.no_intake(worker, _, descriptor)
  if descriptor then
    fd.close(descriptor)
  end
  drop(worker)
end

return M
