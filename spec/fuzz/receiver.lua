-- The receivers of fuzz_channel: each takes what comes on a channel until its
-- end, and raises where the events come as they never should.

local Channel = require "mw.ipc.channel"
local Link = require "mw.cluster.messages"
local channels = require "mw.core.channel"
local close = require("mw.core.fd").close
local emitter = require "mw.emitter"
local uv = require "luv"

-- There may be no descriptor left later, for the module, and for the spare one
-- that libuv opens, and keeps, with the first stream.
require "mw.ipc.handle"
uv.new_pipe(false):close()

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

--- Opens the bare channel over a descriptor.
---@param fd integer
---@param serialization "msgpack"|"json"
---@param opts { listens?: boolean, echoes?: boolean, pauses?: boolean }
function M.open(fd, serialization, opts)
  is_broken, has_ended, is_closed = false, false, false
  local receive = receiver(opts)
  local limits = { high_water_mark = 1000, max_backlog = 100000 }
  channel = assert(channels.open(fd, serialization, callbacks(receive), limits))
  channel:set_listener(opts.listens and receive or nil)
  channel:want_sent(true)
  channel:ref()
  channel:read_start()
end

--- Opens what scripts have: messages and handles, for an emitter.
---@param fd integer
---@param serialization "msgpack"|"json"
---@param opts { listens?: boolean, echoes?: boolean, pauses?: boolean }
function M.open_whole(fd, serialization, opts)
  is_closed = false
  local owner = emitter.new()
  local whole = Channel.open(fd, owner, { serialization = serialization, max_backlog = 100000 })
  whole:ref()
  -- As the master of a cluster has it.
  local link = Link.new(whole, function(message, descriptor, reply)
    assert(type(message.act) == "string", "a request has an act")
    take_descriptors(descriptor)
    reply { value = 1 }
  end)
  link:send({ act = "ask" }, nil, function(_, descriptor)
    take_descriptors(descriptor)
  end)
  function whole.on_disconnecting() end
  function whole.on_close()
    assert(not is_closed, "it closes once")
    is_closed = true
    owner:remove_all_listeners()
  end
  local function receive(value, handle)
    if handle then
      (handle.destroy or handle.close)(handle)
    end
    if opts.echoes and value ~= nil then
      Channel.send(not is_closed and whole or nil, owner, value, function() end)
    end
    if opts.pauses then
      owner:off("message", receive)
      whole:listeners_changed()
      owner:once("message", receive)
      whole:listeners_changed()
    end
  end
  owner:on("message", receive)
  owner:on("error", function() end)
  if opts.listens then
    whole:listeners_changed()
  end
end

--- Whether it has closed.
---@return boolean
function M.is_closed()
  return is_closed
end

return M
