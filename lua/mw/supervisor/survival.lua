-- The master's part in workers that survive it: it writes down which there are,
-- and when it begins it takes over those of the master before, who find it by
-- the socket in the same folder. (mw.supervisor.orphan is the other side.)

local Slot = require "mw.supervisor.slot"
local StateFolder = require "mw.supervisor.state_folder"
local acceptors = require "mw.core.acceptor"
local command_line = require "mw.process.command_line"
local fd = require "mw.core.fd"
local heritage = require "mw.supervisor.heritage"
local identity = require "mw.supervisor.identity"
local limits = require "mw.supervisor.limits"
local process = require "mw.process"
local signals = require("mw.core.process").signals
local socket = require "mw.core.socket"
local strangers = require "mw.core.stranger"

---@class mw.Awaited a worker of the master before that lives
---@field from mw.StateOfWorker
---@field stranger userdata the process, of mw.core.stranger, until it is taken over
---@field is_here boolean? it has connected
---@field has_joined boolean? and has brought its ports

---@class mw.Survival
---@field private _folder mw.StateFolder
---@field private _set mw.WorkerSet
---@field private _awaited table<integer, mw.Awaited> by pid
local Survival = {}
Survival.__index = Survival

-- For workers to find the next master, in milliseconds: they look for it every
-- quarter of a second.
local patience = 2000

--- Takes the folder; raises where another master has it.
---@param settings table of the supervisor
---@return mw.Survival
function Survival.open(settings)
  local folder, err = StateFolder.open(settings.survive)
  if not folder then
    error(err, 0)
  end
  local script = command_line.absolute(settings.script)
  return setmetatable({ _folder = folder, _script = script, _awaited = {}, _last_id = 0 }, Survival)
end

-- What is written -----------------------------------------------------------------

-- Read once: the process does not become another.
local function start_time(worker)
  worker.start_time = worker.start_time or worker.pid and identity.start_time(worker.pid)
  return worker.start_time
end

local function state_of(self)
  local set, list = self._set, {}
  for _, worker in ipairs(set:list()) do
    self._last_id = math.max(self._last_id, worker.id)
    list[#list + 1] = start_time(worker)
      and {
        id = worker.id,
        slot = worker.slot,
        generation = worker.generation,
        pid = worker.pid,
        start_time = worker.start_time,
        started_at = worker.started_at,
        ready_at = worker.ready_at,
      }
  end
  return {
    script = self._script,
    wanted = set.wanted,
    workers_option = set.settings.workers,
    generation = set.generation,
    restarts = set.restarts,
    last_id = self._last_id,
    workers = list,
  }
end

--- Writes down what there is, where that is news.
function Survival:keep()
  if not self._set or self._set.is_gathering or self._set.is_over then
    return
  end
  local text = StateFolder.encode(state_of(self))
  if text == self._written then
    return
  end
  self._written = text
  local ok, err = self._folder:write(text)
  if not ok then
    self._set.log("the workers would not be found by another master: " .. tostring(err))
  end
end

-- Those that are awaited ------------------------------------------------------------

-- First what stands for the process, and then the look whether it is the one.
local function find(from, on_end)
  local descriptor = strangers.find(from.pid)
  local stranger = descriptor and strangers.watch(descriptor, from.pid, on_end)
  if stranger and identity.start_time(from.pid) == from.start_time then
    return { from = from, stranger = stranger }
  elseif stranger then
    stranger:close()
  elseif descriptor then
    fd.close(descriptor)
  end
end

local finish_if_complete

local function await(self, state)
  for _, from in ipairs(state.workers) do
    self._awaited[from.pid] = find(from, function()
      local awaited = self._awaited[from.pid]
      self._awaited[from.pid] = nil
      if awaited and awaited.timer then
        awaited.timer:close()
      end
      finish_if_complete(self)
    end)
  end
end

-- Those who have not come must not keep their ports, or serve beside others.
local function end_stranger(self, awaited)
  local set, from = self._set, awaited.from
  set.log(("worker %d (pid %d) of the master before has not come: it is ended"):format(from.id, from.pid))
  awaited.stranger:kill(signals.SIGTERM)
  awaited.timer = set.clock:after(set.settings.graceful_timeout, function()
    awaited.stranger:kill(signals.SIGKILL)
  end)
end

local function slots_until(set, count)
  local slots = {}
  for number = 1, count do
    local slot = Slot.new(number, set.settings.restart, set.random)
    slots[number] = { number = number, failure_count = 0, policy = slot.policy:heritage() }
  end
  return slots
end

-- Who has found us goes on as one that is ready: others don't look for us.
local function worker_of(set, from, role)
  local now = set.clock:now()
  return {
    id = from.id,
    slot = from.slot,
    generation = from.generation,
    state = "ready",
    role = role,
    started_at = from.started_at,
    ready_at = from.ready_at or now,
    last_beat = now,
    limits = limits.draw(set.settings, set.random),
    vitals = {},
    messages = {},
  }
end

-- As another set would hand it on.
local function heritage_of(self)
  local set, state, workers = self._set, self._state, {}
  local holders, slots = {}, state.wanted
  for _, from in ipairs(state.workers) do
    local awaited = self._awaited[from.pid]
    if awaited and awaited.is_here and set.backend:has(from.id) then
      workers[#workers + 1] = worker_of(set, from, holders[from.slot] and "successor" or "holder")
      holders[from.slot], slots = true, math.max(slots, from.slot)
    end
  end
  return {
    wanted = state.wanted,
    workers_option = state.workers_option,
    generation = state.generation,
    last_generation = state.generation,
    restarts = state.restarts,
    was_ready = #workers > 0,
    notification = set.notification,
    reloads = 0,
    slots = slots_until(set, slots),
    workers = workers,
  }
end

-- What was told meanwhile, told to those who have come.
local function notify_again(set)
  local bytes = set.notification
  if bytes then
    set.notification = nil
    set:notify(bytes)
  end
end

local function finish(self)
  local set = self._set
  self._timer:close()
  local from = heritage_of(self)
  for pid, awaited in pairs(self._awaited) do
    if awaited.is_here then
      self._awaited[pid] = nil
    else
      end_stranger(self, awaited)
    end
  end
  self._state, set.is_gathering = nil, nil
  heritage.go_on(set, from)
  notify_again(set)
  set.log(("the master has taken over %d workers of the one before"):format(#from.workers))
  set:reconcile()
end

function finish_if_complete(self)
  for _, awaited in pairs(self._awaited) do
    if not awaited.has_joined then
      return
    end
  end
  if self._set.is_gathering then
    finish(self)
  end
end

-- Meeting them ----------------------------------------------------------------------

-- Those of a reload that was not over are no part of what is kept.
local function is_wanted(self, awaited)
  return self._state and awaited and not awaited.is_here and awaited.from.generation <= self._state.generation
end

local function take_over(self, awaited, descriptor)
  local process_descriptor = fd.dup(awaited.stranger:fileno())
  if not process_descriptor then
    return fd.close(descriptor) -- it tries again
  end
  awaited.stranger:close()
  awaited.is_here = true
  self._set.backend:take_over(awaited.from, process_descriptor, descriptor, function()
    awaited.has_joined = true
    finish_if_complete(self)
  end)
end

local function meet(self, descriptor)
  local pid, uid = socket.peer(descriptor)
  if not pid or pid < 2 or uid ~= process.getuid() then
    return fd.close(descriptor)
  end
  local awaited = self._awaited[pid]
  if is_wanted(self, awaited) then
    take_over(self, awaited, descriptor)
  else
    self._set.backend:turn_away(descriptor)
  end
end

local function listen(self)
  local descriptor, code = self._folder:listen()
  if not descriptor then
    return self._set.log(("nobody can be found at %s: %s"):format(self._folder.path, code))
  end
  self._acceptor = assert(acceptors.open(descriptor, false, {
    room = function()
      return math.huge
    end,
    open = function()
      return 0
    end,
    take = function(connection)
      meet(self, connection)
    end,
  }))
  self._acceptor:set_referenced(false)
  self._acceptor:start()
end

local function gather(self, state)
  local set = self._set
  self._state, self._last_id = state, state.last_id
  set.backend:skip_ids(state.last_id)
  await(self, state)
  if next(self._awaited) == nil then
    return
  end
  set.is_gathering = true
  self._timer = set.clock:after(patience, function()
    finish(self)
  end)
end

--- Begins, for a set that has no worker, or those of an earlier image of this
--- process. It has those of the master before as soon as they have come: until
--- then it gathers.
---@param set mw.WorkerSet
function Survival:begin(set)
  self._set = set
  local state, why
  if next(set.workers) == nil then
    state, why = self._folder:read(self._script)
  end
  if why then
    set.log(("%s: what the master before has left is of no use: %s"):format(self._folder.path, why))
  end
  if state then
    gather(self, state)
  end
  listen(self)
end

--- Ends: all workers have.
function Survival:close()
  if self._acceptor then
    self._acceptor:close()
  end
  self._folder:close()
end

return Survival
