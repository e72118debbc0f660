-- A worker as its master sees it: what becomes of the child and its channel.

local Link = require "mw.cluster.messages"
local Worker = require "mw.cluster.worker"
local emitter = require "mw.emitter"
local heritage = require "mw.child_process.heritage"
local task = require "mw.task"
local timers = require "mw.timers"

-- How long after its process a channel may end without being left out, in
-- milliseconds.
local channel_patience = 100

---@class mw.MasterWorker: mw.ClusterWorker
---@field process mw.Child
---@field _link mw.ClusterLink
local MasterWorker = emitter.class("mw.cluster.worker", Worker)

---@class mw.MasterWorkerHooks called before the events
---@field take fun(worker: mw.MasterWorker, message: table, descriptor: integer|false|nil, reply: mw.ClusterReply) a request
---@field gone fun(worker: mw.MasterWorker) it can serve no more: its process or its channel has ended
---@field over fun(worker: mw.MasterWorker) both have

local function tell_gone(self)
  if not self._is_gone then
    self._is_gone = true
    self._hooks.gone(self)
  end
end

local function tell_over(self)
  if self._has_exited and self._has_disconnected then
    self.destroyed = true
    self._hooks.over(self)
  end
end

--- Emits what comes once, and remembers it for who waits for it later.
---@param event string
---@param ... any
function MasterWorker:_tell_once(event, ...)
  self._past[event] = select("#", ...) > 0 and table.pack(...) or table.pack(true)
  self:_tell(event, ...)
end

-- Decided in whichever of the two events comes first.
local function decide_flag(self)
  self.exited_after_disconnect = self.exited_after_disconnect == true
end

local function exited(self)
  if not self._has_exited then
    timers.clear_timeout(self._exit_timer)
    self._has_exited = true
    decide_flag(self)
    self.state = "dead"
    tell_over(self)
    self:_tell_once("exit", self.process.exit_code, self.process.signal_code)
  end
end

-- The channel of a process that has ended is about to end, and goes first;
-- unless another process holds it, too.
local function on_exit(self)
  tell_gone(self)
  if self._has_disconnected then
    exited(self)
  else
    self._exit_timer = timers.set_timeout(exited, channel_patience, self)
  end
end

local function on_disconnect(self)
  self._has_disconnected = true
  tell_gone(self)
  decide_flag(self)
  if not self._has_exited then
    self.state = "disconnected"
  end
  tell_over(self)
  self:_tell_once "disconnect"
  if self._exit_timer then
    exited(self)
  end
end

-- One that could not be started has no exit, and may have had no channel.
local function on_close(self)
  if not self.destroyed then
    tell_gone(self)
    decide_flag(self)
    self.errored = self.process.errored
    self._has_exited, self._has_disconnected, self.state = true, true, "dead"
    tell_over(self)
  end
end

--- Makes the object for a child that was just forked.
---@param identity { id: integer, slot: integer }
---@param child mw.Child
---@param hooks mw.MasterWorkerHooks
---@return mw.MasterWorker
function MasterWorker.new(identity, child, hooks)
  local self = setmetatable({ state = "none", _hooks = hooks, _past = {} }, MasterWorker)
  self:_init(identity, child, child)
  self._link = Link.new(child.channel, function(...)
    hooks.take(self, ...)
  end)
  for event, fn in pairs { exit = on_exit, disconnect = on_disconnect, close = on_close } do
    child:on(event, function()
      fn(self)
    end)
  end
  return self
end

---@class mw.MasterWorkerHeritage
---@field id integer
---@field slot integer
---@field state string
---@field exited_after_disconnect boolean?
---@field is_online boolean
---@field is_asked boolean
---@field is_inactive boolean
---@field child mw.ChildHeritage

--- Whether nothing is under way between it and us but what the kernel has.
---@return boolean
function MasterWorker:is_quiet()
  return not self._has_exited and heritage.is_quiet(self.process)
end

--- What the next image of the master needs to go on with it.
---@return mw.MasterWorkerHeritage
function MasterWorker:heritage()
  return {
    id = self.id,
    slot = self.slot,
    state = self.state,
    exited_after_disconnect = self.exited_after_disconnect,
    is_online = self._past.online ~= nil,
    is_asked = self._is_asked == true,
    is_inactive = self._is_inactive == true,
    child = heritage.of(self.process),
  }
end

--- Goes on with a worker of an earlier image.
---@param from mw.MasterWorkerHeritage
---@param hooks mw.MasterWorkerHooks
---@return mw.MasterWorker
function MasterWorker.adopt(from, hooks)
  local self = MasterWorker.new(from, heritage.adopt(from.child), hooks)
  self.state, self.exited_after_disconnect = from.state, from.exited_after_disconnect
  self._is_asked, self._is_inactive = from.is_asked, from.is_inactive
  self._past.online = from.is_online and table.pack(true) or nil
  self._has_disconnected = not from.child.channel
  self._is_gone = self._has_disconnected
  return self
end

-- What a wait for an event that has come, or can't come any more, is answered.
local function past_values(self, event)
  local values, failure = self._past[event], self.process.errored
  if not values and failure and event ~= "disconnect" then
    return table.pack(nil, failure)
  end
  return values
end

--- Waits for an event, as every emitter does. `online`, `disconnect` and `exit`
--- come once: where that was before, its values are returned at once.
---@param event any
---@param timeout? number milliseconds; no limit where absent
---@return any ...
function MasterWorker:wait(event, timeout)
  local values = past_values(self, event)
  if not values then
    return Worker.wait(self, event, timeout)
  end
  return task.await(("the event '%s'"):format(event), function(done)
    done(table.unpack(values, 1, values.n))
  end)
end

--- Takes the worker's word that it is online or listening, unless it has ended
--- since.
---@param state "online"|"listening"
function MasterWorker:_set_state(state)
  if self.state ~= "disconnected" and self.state ~= "dead" then
    self.state = state
  end
end

--- Takes note that the end of the worker was asked for, here or there.
function MasterWorker:_leave()
  if self.exited_after_disconnect == nil then
    self.exited_after_disconnect = true
  end
end

--- Whether the process has ended, as `exit` tells.
---@return boolean
function MasterWorker:is_dead()
  return self._has_exited == true
end

--- Sends a message to the worker, as child:send() does.
---@param ... any
---@return boolean
function MasterWorker:send(...)
  return self.process:send(...)
end

--- Asks the worker to end: it closes its servers, waits for their connections,
--- then closes the channel, and ends once nothing else keeps it alive.
---@return mw.MasterWorker self
function MasterWorker:disconnect()
  if self:is_connected() and not self._is_asked then
    self:_leave()
    self._is_asked = self._link:send { act = "disconnect" }
  end
  return self
end

--- Sends a signal to the process at once. disconnect() is the graceful way.
---@param signal? string|integer "SIGTERM" where absent
---@return boolean false where it has ended
function MasterWorker:kill(signal)
  return self.process:kill(signal)
end

MasterWorker.destroy = MasterWorker.kill

return MasterWorker
