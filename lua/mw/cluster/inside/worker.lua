-- A worker as it sees itself: how it leaves.

local Worker = require "mw.cluster.worker"
local emitter = require "mw.emitter"
local listening = require "mw.cluster.inside.listening"
local process = require "mw.process"

---@class mw.InsideWorker: mw.ClusterWorker
---@field process mw.process
---@field _link mw.ClusterLink
local InsideWorker = emitter.class("mw.cluster.worker", Worker)

local source = {}

function source:on(event, fn)
  process.on(event, fn)
end

function source:off(event, fn)
  process.off(event, fn)
end

---@param identity { id: integer, slot: integer }
---@return mw.InsideWorker
function InsideWorker.new(identity)
  local self = setmetatable({ state = "online" }, InsideWorker)
  self:_init(identity, process, source)
  return self
end

local function close_channel()
  if process.connected then
    process.disconnect()
  end
end

-- Calls `done` once the master knows that we leave of our own accord.
local function announce(self, done)
  if not self._link:send({ act = "exited_after_disconnect" }, nil, done) then
    done()
  end
end

--- Closes the servers, waits for their connections, then closes the channel.
---@param is_asked boolean whether the master asked for it, and so knows
function InsideWorker:_leave(is_asked)
  if self._is_leaving or not (self:is_connected() or self._is_orphan) then
    return
  end
  self._is_leaving, self.state, self.exited_after_disconnect = true, "disconnecting", true
  is_asked = is_asked or self._is_orphan
  local open_parts = is_asked and 1 or 2
  local function part_done()
    open_parts = open_parts - 1
    if open_parts == 0 then
      close_channel()
    end
  end
  if not is_asked then
    announce(self, part_done)
  end
  listening.close_all(part_done)
end

--- Leaves the cluster: closes the servers, waits for their connections, then
--- closes the channel. The process ends once nothing else keeps it alive.
---@return mw.InsideWorker self
function InsideWorker:disconnect()
  self:_leave(false)
  return self
end

--- Leaves the cluster and ends with status 0, without waiting for connections.
function InsideWorker:kill()
  if self._is_destroying then
    return
  end
  self.exited_after_disconnect = true
  if not self:is_connected() then
    process.exit(0)
  end
  self._is_leaving, self._is_destroying, self.state = true, true, "destroying"
  announce(self, close_channel)
end

InsideWorker.destroy = InsideWorker.kill

--- Goes on without a master, after its end.
function InsideWorker:_go_on()
  self._is_orphan = true
  self.state, self.exited_after_disconnect = self._state_before, nil
end

--- Has a master again.
function InsideWorker:_rejoin()
  self._is_orphan = nil
end

--- Sends a message to the master, as process.send() does.
---@param ... any
---@return boolean
function InsideWorker:send(...)
  return process.send(...)
end

---@return false
function InsideWorker:is_dead()
  return false
end

--- Takes note that the channel is closed. Returns why that is the end of the
--- process, too: kill() has waited for it, or nobody has asked for it; nil where
--- it goes on.
---@return "destroyed"|"orphaned"|nil
function InsideWorker:_disconnected()
  self._state_before = self.state
  self.state, self.exited_after_disconnect = "disconnected", self.exited_after_disconnect == true
  self:_tell "disconnect"
  return self._is_destroying and "destroyed" or not self.exited_after_disconnect and "orphaned" or nil
end

return InsideWorker
