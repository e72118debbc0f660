-- The receiver of fuzz_channel: takes what comes on a channel, and closes it at
-- its end. Raises where the events come as they never should.

local channels = require "mw.core.channel"
local close = require("mw.core.fd").close

local channel, is_broken, has_ended, is_closed

local function take_descriptors(first, ...)
  if first ~= nil and first ~= false then
    assert(close(first), "a descriptor that comes is open")
  end
  if select("#", ...) > 0 then
    take_descriptors(...)
  end
end

local function receiver(opts)
  return function(value, ...)
    assert(not is_closed, "nothing comes on a closed channel")
    take_descriptors(...)
    if opts.echoes then
      channel:send(value, false)
    end
    if opts.pauses then
      channel:read_stop()
      channel:read_start()
    end
  end
end

local function callbacks(receive)
  return {
    on_message = receive,
    on_internal = receive,
    on_sent = function(offset)
      assert(offset > 0 and not has_ended, "something was sent")
    end,
    on_broken = function(code)
      assert(type(code) == "string" and not has_ended and not is_broken, "it breaks once, before the end")
      is_broken = true
    end,
    on_end = function()
      assert(not has_ended, "there is one end")
      has_ended = true
      channel:close()
    end,
    on_closed = function()
      assert(has_ended and not is_closed, "it closes once, after the end")
      is_closed = true
    end,
  }
end

local M = {}

--- Opens a channel over a descriptor.
---@param fd integer
---@param serialization "msgpack"|"json"
---@param opts { listens?: boolean, echoes?: boolean, pauses?: boolean }
function M.open(fd, serialization, opts)
  is_broken, has_ended, is_closed = false, false, false
  local receive = receiver(opts)
  channel =
    assert(channels.open(fd, serialization, callbacks(receive), { high_water_mark = 1000, max_backlog = 100000 }))
  channel:set_listener(opts.listens and receive or nil)
  channel:want_sent(true)
  channel:ref()
  channel:read_start()
end

--- Whether it has closed.
---@return boolean
function M.is_closed()
  return is_closed
end

return M
