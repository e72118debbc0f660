-- The workers of the master before, taken over by this one as they find it. Who
-- does not come in time is ended.

local Slot = require "mw.supervisor.slot"
local fd = require "mw.core.fd"
local heritage = require "mw.supervisor.heritage"
local identity = require "mw.supervisor.identity"
local limits = require "mw.supervisor.limits"
local signals = require("mw.core.process").signals
local strangers = require "mw.core.stranger"

---@class mw.Awaited a worker of the master before that lives
---@field from mw.StateOfWorker
---@field stranger userdata the process, of mw.core.stranger, until it is taken over
---@field is_here boolean? it has connected
---@field has_joined boolean? and has brought its ports
---@field timer table? runs until it is killed

---@class mw.Takeover
---@field private _set mw.WorkerSet
---@field private _state mw.State
---@field private _awaited table<integer, mw.Awaited> by pid
local Takeover = {}
Takeover.__index = Takeover

-- For workers to find the next master, in milliseconds: they look for it every
-- quarter of a second.
local patience = 2000

-- Where we were held up ourselves, they wait at the socket by then: for a turn of
-- the loop.
local settling = 50

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
  set.is_gathering = nil
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

--- Waits for those of a state that live; until they have come, or their time is
--- over, the set gathers.
---@param set mw.WorkerSet
---@param state mw.State
---@return mw.Takeover
function Takeover.begin(set, state)
  local self = setmetatable({ _set = set, _state = state, _awaited = {} }, Takeover)
  set.backend:skip_ids(state.last_id)
  await(self, state)
  if next(self._awaited) ~= nil then
    set.is_gathering = true
    self._timer = set.clock:after(patience, function()
      self._timer = set.clock:after(settling, function()
        finish(self)
      end)
    end)
  end
  return self
end

--- Whether it is one of those. Who is of a reload that was not over is no part of
--- what is kept.
---@param pid integer
---@return boolean
function Takeover:awaits(pid)
  local awaited = self._awaited[pid]
  return awaited ~= nil
    and self._set.is_gathering == true
    and not awaited.is_here
    and awaited.from.generation <= self._state.generation
end

--- Takes one over that has connected.
---@param pid integer
---@param descriptor integer the connection
function Takeover:take(pid, descriptor)
  local awaited = self._awaited[pid]
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

return Takeover
