-- In a worker: what its supervisor tells it of data that has changed.

local emitter = require "mw.emitter"
local msgpack = require "mw.msgpack"
local options = require "mw.options"
local tick = require "mw.tick"

local M = {
  --- What the messages are, beside those of the program.
  command = "NODE_NOTIFICATION",
}

local events = emitter.new()
local current

--- Calls `fn` with the value that the supervisor's notifier has now, if there is
--- one, and with each that follows: once for each change. Where there is no
--- supervisor, nothing comes.
---@param fn fun(value: any)
function M.notified(fn)
  options.argument("notified", "fn", fn, options.callback)
  events:on("value", fn)
  if current ~= nil then
    tick.add(fn, current)
  end
end

--- Takes them from the channel to the master.
---@param channel mw.Channel
function M.open(channel)
  channel:on_command(M.command, function(envelope)
    current = msgpack.decode(envelope.bytes)
    events:emit("value", current)
  end)
end

return M
