-- Workers, as their master and as they themselves see them.

local cluster = require("mw.cluster.events").emitter
local emitter = require "mw.emitter"

---@class mw.ClusterWorker: mw.Emitter
---@field id integer 1, 2, 3, … never used again
---@field slot integer the place from 1 up that a replacement inherits
---@field process mw.Child|mw.process the child in the master, the process itself in the worker
---@field state "none"|"online"|"listening"|"disconnecting"|"destroying"|"disconnected"|"dead"
---@field exited_after_disconnect boolean? nil while it runs; then whether its end was asked for
local Worker = emitter.class "mw.cluster.worker"

-- All that there are: the cluster's own listeners count for each.
local members = setmetatable({}, { __mode = "k" })

--- Emits an event here and on the cluster.
---@param event string
---@param ... any
function Worker:_tell(event, ...)
  self:emit(event, ...)
  cluster:emit(event, self, ...)
end

-- Events of the process that are ours too. Who listens here listens there, and
-- only so long: a message without a listener is kept for the first.
local mirrored = {}

function mirrored.message(self, ...)
  self:_tell("message", ...)
end

function mirrored.error(self, err)
  self:emit("error", err)
end

local function is_wanted(self, event)
  return self:listener_count(event) > 0 or event == "message" and cluster:listener_count "message" > 0
end

local function follow(self, event)
  local mirror = self._mirrors[event]
  if is_wanted(self, event) == (mirror ~= nil) then
    return
  elseif mirror then
    self._mirrors[event] = nil
    self._source:off(event, mirror)
    return
  end
  self._mirrors[event] = function(...)
    mirrored[event](self, ...)
  end
  self._source:on(event, self._mirrors[event])
end

--- Prepares a worker of a class that adds to this one.
---@param identity { id: integer, slot: integer }
---@param process mw.Child|mw.process
---@param source { on: function, off: function } the process, as an emitter
function Worker:_init(identity, process, source)
  self.id, self.slot, self.process = identity.id, identity.slot, process
  self._source, self._mirrors = source, {}
  members[self] = true
  follow(self, "message")
end

function Worker:_listening_changed(event)
  if mirrored[event] then
    follow(self, event)
  end
end

function cluster:_listening_changed(event)
  if event == "message" then
    for worker in pairs(members) do
      follow(worker, event)
    end
  end
end

--- Whether messages can be sent.
---@return boolean
function Worker:is_connected()
  return self.process.connected
end

function Worker:__tostring()
  return ("mw.cluster.worker (%d, pid %s)"):format(self.id, self.process.pid or "none")
end

return Worker
