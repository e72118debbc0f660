-- TCP and Unix sockets: the door. (https://nodejs.org/api/net.html)

local Server = require "mw.net.server"
local Socket = require "mw.net.socket"
local activation = require "mw.net.activation"
local address = require "mw.net.address"
local arguments = require "mw.net.arguments"
local listener = require "mw.net.listener"
local native = require "mw.net.native"
local names = require("mw.core.socket").names

local M = {
  Server = Server,
  Socket = Socket,
  create_server = Server.new,
  is_ip = address.is_ip,
  is_ipv4 = address.is_ipv4,
  is_ipv6 = address.is_ipv6,
  listen_fds = activation.listen_fds,
}

--- Makes a socket and connects it; returns at once. `connect` follows, or
--- `error`: ECONNREFUSED, ENOTFOUND, … The forms are (options), (port[, host])
--- and (path), each with a listener of `connect` at the end; options are those
--- of Socket.new() and of socket:connect(). (Node: net.connect)
---@param ... any
---@return mw.Socket
function M.connect(...)
  local opts, fn = arguments.create_connection(...)
  local socket = Socket._new(opts)
  if socket.destroyed then
    return socket -- aborted already, or a descriptor that is no socket
  end
  return socket:_connect(opts, fn)
end

--- The same.
M.create_connection = M.connect

-- For mw.ipc ------------------------------------------------------------------

--- Makes a handle of luv over a TCP or Unix stream descriptor; nil for others.
---@type fun(fd: integer): userdata?
M._open_handle = native.open

-- For mw.http -----------------------------------------------------------------

--- Both ends of a connection that is a plain descriptor.
---@param fd integer
---@return { local: mw.Address?, remote: mw.Address? }
function M._ends_of(fd)
  local here, there = names(fd)
  return { ["local"] = address.of(here), remote = address.of(there) }
end

-- For mw.cluster ------------------------------------------------------------

M.set_listen_provider = Server.set_listen_provider

--- Makes the handle that a listen() elsewhere asks for; it does not listen yet.
---@type fun(what: mw.ListenTarget): userdata?, mw.Error?
M._bind_listener = listener.bind

--- Closes it, and removes the path that was made for it.
---@type fun(handle: any, leaves_path: boolean?)
M._close_listener = listener.close

--- The path that was made for it, for who goes on with the descriptor.
---@type fun(handle: userdata): string?
M._listener_path = listener.path_of

--- Goes on with a descriptor that was bound before this image ran.
---@type fun(fd: integer, path: string?): userdata
M._adopt_listener = listener.adopt

return M
