-- The UDP socket. (https://nodejs.org/api/dgram.html#class-dgramsocket)

local binding = require "mw.dgram.binding"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local failure = require "mw.dgram.failure"
local look_up = require "mw.look_up"
local options = require "mw.options"
local peer = require "mw.dgram.peer"
local sending = require "mw.dgram.sending"
local settings = require "mw.dgram.settings"
local tick = require "mw.tick"
local timers = require "mw.timers"
local uv = require "luv"

---@class mw.DgramAddress
---@field address string
---@field family "IPv4"|"IPv6"
---@field port integer

---@class mw.DgramSocket: mw.Emitter
---@field type "udp4"|"udp6"
---@field destroyed boolean? whether `close` was emitted
---@field _handle userdata? luv's; nil once it is closed
---@field private _family 4|6
local Socket = emitter.class "mw.dgram.socket"

for _, part in ipairs { binding, peer, settings } do
  for name, method in pairs(part) do
    Socket[name] = method
  end
end

local families = { udp4 = 4, udp6 = 6 }

local size = options.integer(1, 0x7fffffff)

local schema = {
  type = options.one_of("udp4", "udp6"),
  reuse_addr = options.boolean,
  reuse_port = options.boolean,
  ipv6_only = options.boolean,
  recv_buffer_size = size,
  send_buffer_size = size,
  lookup = options.callback,
  signal = options.abort_signal,
}

local function new(type, handle)
  return setmetatable({ type = type, _family = families[type], _handle = handle, _state = "unbound", _peer = "none" }, Socket)
end

-- Closes the socket on abort, as long as it is open.
local function watch_token(self, token)
  if token.aborted then
    return self:close()
  end
  local function on_abort()
    self:close()
  end
  token:on("abort", on_abort)
  self:once("close", function()
    token:off("abort", on_abort)
  end)
end

--- Makes a socket.
---@param opts "udp4"|"udp6"|table type reuse_addr reuse_port ipv6_only recv_buffer_size send_buffer_size lookup signal;
--- `lookup(host, family, callback)` finds addresses in place of the system and calls `callback(err, address)`
---@param message_listener? fun(message: string, rinfo: table) rinfo: address family port size
---@return mw.DgramSocket socket emits `message listening connect close error`
function Socket.create(opts, message_listener)
  if type(opts) ~= "table" then
    opts = { type = opts }
  end
  failure.check("create_socket", "type", opts.type, schema.type, "ERR_SOCKET_BAD_TYPE")
  options.check("create_socket", opts, schema)
  options.optional("create_socket", "message_listener", message_listener, options.callback)
  local self = new(opts.type, uv.new_udp())
  self._lookup = opts.lookup
  self._ipv6_only, self._reuse_addr, self._reuse_port = opts.ipv6_only, opts.reuse_addr, opts.reuse_port
  self._recv_buffer_size, self._send_buffer_size = opts.recv_buffer_size, opts.send_buffer_size
  if message_listener then
    self:on("message", message_listener)
  end
  if opts.signal then
    watch_token(self, opts.signal)
  end
  return self
end

local node_families = { inet = "IPv4", inet6 = "IPv6" }

-- Turns what luv says of an address into what Node says, in the same table.
local function to_address(place)
  place.address, place.ip = place.ip, nil
  place.family = node_families[place.family]
  return place
end

local function receive(self)
  if not self._handle then
    return
  end
  local ok, text, code = self._handle:recv_start(function(err, message, place)
    if err then
      self:emit("error", errors.from_luv(err, nil, "recvmsg"))
    elseif message then
      local rinfo = to_address(place)
      rinfo.size = #message
      self:emit("message", message, rinfo)
    end
  end)
  if not ok then
    self:emit("error", errors.from_luv(text, code, "recvmsg"))
  end
end

--- Begins to receive on the next turn of the loop: what comes for a listener
--- that a new task adds, or who got this socket in a message, waits in the
--- kernel.
function Socket:_start_receiving()
  timers.set_immediate(receive, self)
end

--- Makes a socket over a luv handle that is bound, and is the socket's from
--- then on. It can send at once; receiving begins on the next turn of the loop.
--- There is no event `listening`.
---@param handle userdata
---@param type? "udp4"|"udp6" found out where absent
---@return mw.DgramSocket
function Socket.adopt(handle, type)
  local place = handle:getsockname()
  local self = new(type or place and place.family == "inet6" and "udp6" or "udp4", handle)
  self._state = "bound"
  self:_note_peer()
  self:_start_receiving()
  return self
end

--- Finds the address of a host, of the family of the socket.
---@param host string
---@param syscall "bind"|"connect"|"send" what it is for
---@param port integer
---@param done fun(err: any, ip: string?)
function Socket:_resolve(host, syscall, port, done)
  local find = self._lookup or look_up.look_up
  find(host, self._family, function(err, ip)
    if not self._handle then
      err = failure.if_closed(self)
    elseif err == nil and (type(ip) ~= "string" or look_up.family(ip) ~= self._family) then
      err = failure.at("EINVAL", syscall, tostring(ip), port)
    end
    done(err, ip)
  end)
end

-- On the way to a kernel that may still have to bind the socket.
local function send_when_bound(self, message, port, address, callback)
  self:_after_bind(function(err)
    if err == nil then
      sending.send(self, message, port, address, callback)
    elseif callback then
      tick.add(callback, err)
    end
  end)
end

--- Sends a datagram: `send(message[, offset, length], port[, address][, callback])`,
--- on a connected socket without port and address. The message is a string or a
--- list of strings, which are sent as one; `offset` is how many bytes to leave
--- out. The address may be a name; it is this machine where absent. A socket
--- that is not bound is bound to a free port. The callback gets (nil, bytes)
--- when the kernel has taken them, or the error; without one, that is an `error`
--- event.
---@param ... any
---@return true? ok
---@return mw.Error? err where the socket is closed; the callback gets it as well
function Socket:send(...)
  local message, port, address, callback = sending.arguments(self._peer == "connected", ...)
  local closed = failure.if_closing(self)
  if closed then
    if callback then
      tick.add(callback, closed)
    end
    return nil, closed
  elseif self._state == "bound" then
    sending.send(self, message, port, address, callback)
  else
    send_when_bound(self, message, port, address, callback)
  end
  return true
end

--- Asks the handle for an address.
---@param which "getsockname"|"getpeername"
---@return mw.DgramAddress?
---@return mw.Error? err
function Socket:_ask_address(which)
  local place, text, code = self._handle[which](self._handle)
  if not place then
    return nil, errors.from_luv(text, code, which)
  end
  return to_address(place)
end

--- Where the socket is bound to.
---@return mw.DgramAddress? address nil where it is closed, or not bound yet (EBADF)
---@return mw.Error? err
function Socket:address()
  local closed = failure.if_closed(self)
  if closed then
    return nil, closed
  end
  return self:_ask_address "getsockname"
end

local function emit_close(self)
  self.destroyed = true
  self:emit "close"
end

--- Closes the socket, behind what waits for it to be bound. Then comes `close`.
--- May be called twice.
---@param callback? fun(err: any) called then; with an error where that was before
---@return mw.DgramSocket self
function Socket:close(callback)
  options.optional("close", "callback", callback, options.callback)
  if callback and self.destroyed then
    tick.add(callback, failure.if_closed(self))
  elseif callback then
    self:once("close", callback)
  end
  if self._queue then
    self._close_is_due = true
  elseif self._handle then
    self._handle:close()
    self._handle = nil
    tick.add(emit_close, self)
  end
  return self
end

--- Keeps the loop alive for the socket once it is bound, as from the start.
---@return mw.DgramSocket self
function Socket:ref()
  if self._handle then
    self._handle:ref()
  end
  return self
end

--- Lets the loop end although the socket is open.
---@return mw.DgramSocket self
function Socket:unref()
  if self._handle then
    self._handle:unref()
  end
  return self
end

--- The descriptor; nil before the socket is bound, and once it is closed.
---@return integer?
function Socket:fileno()
  return self._handle and self._handle:fileno()
end

Socket.__close = function(self)
  self:close()
end

function Socket:__tostring()
  return ("mw.dgram.socket (%s, %s)"):format(self.type, self._handle and self._state or "closed")
end

return Socket
