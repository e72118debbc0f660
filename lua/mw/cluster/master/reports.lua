-- What workers tell their master about themselves, by `act`.

local options = require "mw.options"

local M = {}

local address_types = { [4] = true, [6] = true, [-1] = true, udp4 = true, udp6 = true }

local is_port, is_descriptor = options.integer(0, 65535), options.integer(0)

local function is_absent_or(check, value)
  return value == nil or not check(value)
end

-- A worker's script may be anybody's: what it says must be an address.
local function address_of(message)
  local is_sound = address_types[message.address_type]
    and is_absent_or(options.bytes, message.address)
    and is_absent_or(is_port, message.port)
    and is_absent_or(is_descriptor, message.fd)
  return is_sound
      and {
        address = message.address,
        port = message.port,
        address_type = message.address_type,
        fd = message.fd,
      }
    or nil
end

---@param worker mw.MasterWorker
function M.online(worker)
  if not worker._past.online then
    worker:_set_state "online"
    worker:_tell_once "online"
  end
end

--- Once for each server, with its address.
---@param worker mw.MasterWorker
---@param message table
function M.listening(worker, message)
  local address = address_of(message)
  if address then
    worker:_set_state "listening"
    worker:_tell("listening", address)
  end
end

--- It leaves by itself, and waits for the answer before it closes the channel.
--- Who wants to replace it listens to `leaving`.
---@param worker mw.MasterWorker
---@param reply mw.ClusterReply
function M.exited_after_disconnect(worker, _, reply)
  worker:_leave()
  worker:emit "leaving"
  reply()
end

return M
