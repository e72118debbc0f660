-- What the kinds of ports that workers share have in common: their sockets.

local core = require "mw.core.dispatcher"
local dgram = require "mw.dgram"
local fd = require "mw.core.fd"
local net = require "mw.net"
local socket = require "mw.core.socket"

---@class mw.ClusterPort
---@field address { ip: string, family: string, port: integer }|string|nil as luv tells it; of a path, the path
---@field kind "passing"|"shared"|"spread"
---@field exclusive boolean?
---@field reserve? fun(self): integer the socket, for a worker that else would have none; it stays the port's
---@field add fun(self, brought: table) a worker has had a socket of it from a master before
---@field join fun(self, member: mw.PortMember): integer?, mw.Error|string|nil
---@field rejoin fun(self, member: mw.PortMember) it has joined before this image of the master ran
---@field leave fun(self, member: mw.PortMember)
---@field set_paused fun(self, paused: boolean) whether the master accepts nothing here for now
---@field waiting fun(self): integer connections that were accepted, and no worker has
---@field heritage fun(self): table what the next image of the master needs
---@field close fun(self)

local M = {}

-- The descriptor that a worker names is ours, and stays open.
local function own_copy(what)
  local number, code = fd.dup(what.fd)
  if not number then
    return nil, code
  end
  return setmetatable({ fd = number }, { __index = what }), number
end

local function bind(what)
  if not what.fd then
    return net._bind_listener(what)
  end
  local copied, number = own_copy(what)
  if not copied then
    return nil, number == "EBADF" and "EINVAL" or number
  end
  local handle, err = net._bind_listener(copied)
  if not handle then
    fd.close(number)
  end
  return handle, err
end

--- Makes a socket that listens.
---@param what mw.ListenTarget
---@return userdata? handle of luv
---@return mw.Error|string|nil err
function M.listen(what)
  local handle, err = bind(what)
  if not handle then
    return nil, err
  end
  local ok, code = socket.listen(handle:fileno(), what.backlog)
  if not ok then
    M.close(handle)
    return nil, code
  end
  return handle
end

--- Makes a UDP socket that is bound.
---@param what mw.DgramBinding
---@return userdata? handle of luv
---@return mw.Error|string|nil err
function M.bind_datagram(what)
  local copied, number = what, nil
  if what.fd then
    copied, number = own_copy(what)
    if not copied then
      return nil, number
    end
  end
  local handle, err = dgram._bind(copied)
  if not handle and number then
    fd.close(number)
  end
  return handle, err
end

--- Where it is bound.
---@param handle userdata
---@return { ip: string, family: string, port: integer }|string
function M.address(handle)
  return (handle:getsockname())
end

--- Accepts there from now on, and passes on what comes.
---@return userdata? dispatcher
---@return string? err
function M.dispatch(handle, key, policy, pick)
  local copy, err = fd.dup(handle:fileno())
  if not copy then
    return nil, err
  end
  fd.set_nonblocking(copy, true)
  local dispatcher
  dispatcher, err = core.dispatcher(copy, key, policy, pick)
  if not dispatcher then
    fd.close(copy)
  end
  return dispatcher, err
end

---@class mw.PortSocket what is to be known of a socket to go on with it
---@field fd integer
---@field path string? that was made for it
---@field is_datagram boolean

---@param handle userdata
---@return mw.PortSocket
function M.heritage(handle)
  return {
    fd = handle:fileno(),
    path = net._listener_path(handle),
    is_datagram = handle:get_type() == "udp",
  }
end

--- Goes on with a socket.
---@param from mw.PortSocket
---@return userdata handle
function M.adopt(from)
  if from.is_datagram then
    return assert(dgram._bind { fd = from.fd })
  end
  return net._adopt_listener(from.fd, from.path)
end

--- What a worker has brought, as the heritage of a master before would be.
---@param descriptor integer
---@param what mw.ListenTarget|mw.DgramBinding
---@return mw.PortSocket
function M.brought(descriptor, what)
  local path = what.path
  if path and path:byte() == 0 then
    path = nil -- nothing in the file system
  elseif path and what.directory then
    path = what.directory .. "/" .. path
  end
  return { fd = descriptor, path = path, is_datagram = what.type ~= nil }
end

--- Closes it, and removes the path that was made for it.
---@param handle userdata
function M.close(handle)
  net._close_listener(handle)
end

return M
