-- The process's end of the channel to its parent, where it was started with
-- one. (https://nodejs.org/api/process.html#processsendmessage-sendhandle-options-callback)

local Channel = require "mw.ipc.channel"
local core = require "mw.core.channel"
local errors = require "mw.error"
local exit = require "mw.exit"

local M = {
  --- Which worker of a cluster we are; nil where we are none.
  ---@type { id: integer, slot: integer }?
  worker = nil,
}

-- It stays here after its end: messages may wait in it for a listener.
local channel

--- Opens the channel, and puts `send`, `disconnect`, `channel` and `connected`
--- into the process. In a process that has no channel, only `connected`: false.
---@param process table
---@param events mw.Emitter the process's
function M.attach(process, events)
  local descriptor, serialization, flush_timeout, worker_id, worker_slot = core.inherited()
  process.connected = descriptor ~= nil
  if not descriptor then
    return
  end
  exit.flush_timeout = flush_timeout
  M.worker = worker_id and { id = worker_id, slot = worker_slot }
  channel = Channel.open(descriptor, events, { serialization = serialization })
  process.channel = channel

  function channel.on_disconnecting()
    process.connected = false
  end

  function channel.on_close()
    process.channel = nil
    events:emit "disconnect"
  end

  function process.send(message, handle, opts, callback)
    if handle == nil and opts == nil and callback == nil then
      local keeps_up = channel.post(message)
      if keeps_up ~= nil then
        return keeps_up
      end
    end
    return Channel.send(process.channel, events, message, handle, opts, callback)
  end

  function process.disconnect()
    if not process.connected then
      return nil, errors.new("ERR_IPC_DISCONNECTED", "ERR_IPC_DISCONNECTED: the channel is closed already")
    end
    return channel:disconnect()
  end

  -- A module that was preloaded may listen already.
  M.follow_listeners(events, "message")
end

--- Opens the channel anew, to another parent, after the end of the one before.
---@param process table
---@param descriptor integer the channel's from then on
function M.reconnect(process, descriptor)
  channel:reopen(descriptor)
  process.channel, process.connected = channel, true
end

--- Keeps the loop alive for the channel as long as somebody listens to it.
---@param events mw.Emitter
---@param event any the event whose listeners have changed
function M.follow_listeners(events, event)
  if not channel or (event ~= "message" and event ~= "disconnect") then
    return
  end
  channel:follow(events:listener_count "message" + events:listener_count "disconnect" > 0)
  if event == "message" then
    channel:listeners_changed()
  end
end

return M
