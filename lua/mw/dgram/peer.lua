-- Connecting a socket to one peer, from which alone it then receives.

local errors = require "mw.error"
local failure = require "mw.dgram.failure"
local options = require "mw.options"
local sending = require "mw.dgram.sending"
local tick = require "mw.tick"

---@class mw.DgramSocket
---@field private _peer "none"|"connecting"|"connected"
local Peer = {}

local check_port = options.integer(1, 65535)

local function give_up(self, callback)
  self._peer = "none"
  if callback then
    self:off("connect", callback)
  end
end

local function connect(self, port, address, callback)
  self:_resolve(address, "connect", port, function(err, ip)
    if err == nil then
      local ok, _, code = self._handle:connect(ip, port)
      err = not ok and failure.at(code, "connect", address, port) or nil
    end
    if err ~= nil then
      give_up(self, callback)
      return sending.fail(self, callback, err)
    end
    self._peer = "connected"
    tick.add(self.emit, self, "connect")
  end)
end

-- That it could not be bound, the listeners of `error` know.
local function connect_if_bound(self, err, port, address, callback)
  if err == nil then
    return connect(self, port, address, callback)
  end
  give_up(self, callback)
  if callback then
    tick.add(callback, err)
  end
end

--- Connects the socket: what it sends goes to this peer, and it receives from no
--- other. A socket that is not bound is bound to a free port. Then comes
--- `connect`; what goes wrong is the callback's, or an `error` event.
---@param port integer
---@param address? string a name or numeric; this machine where absent
---@param callback? fun(err: any)
---@return mw.DgramSocket? self nil where it is closed
---@return mw.Error? err
function Peer:connect(port, address, callback)
  if type(address) == "function" and callback == nil then
    address, callback = nil, address
  end
  failure.check("connect", "port", port, check_port, "ERR_SOCKET_BAD_PORT")
  options.optional("connect", "address", address, options.text)
  options.optional("connect", "callback", callback, options.callback)
  local closed = failure.if_closing(self)
  if closed then
    return nil, closed
  elseif self._peer ~= "none" then
    failure.misuse("connect", "the socket is connected already", "ERR_SOCKET_DGRAM_IS_CONNECTED")
  end
  self._peer = "connecting"
  if callback then
    self:once("connect", callback)
  end
  address = sending.host(self, address)
  self:_after_bind(function(err)
    connect_if_bound(self, err, port, address, callback)
  end)
  return self
end

local function check_connected(self, what)
  if self._peer ~= "connected" then
    failure.misuse(what, "the socket is not connected", "ERR_SOCKET_DGRAM_NOT_CONNECTED")
  end
end

--- Undoes connect(). Where the kernel chose the port, it takes that back too.
---@return true? ok
---@return mw.Error? err
function Peer:disconnect()
  local closed = failure.if_closed(self)
  if closed then
    return nil, closed
  end
  check_connected(self, "disconnect")
  local ok, text, code = self._handle:connect(nil, nil)
  if not ok then
    return nil, errors.from_luv(text, code, "connect")
  end
  self._peer = "none"
  return true
end

--- Where the socket is connected to.
---@return mw.DgramAddress?
---@return mw.Error? err
function Peer:remote_address()
  local closed = failure.if_closed(self)
  if closed then
    return nil, closed
  end
  check_connected(self, "remote_address")
  return self:_ask_address "getpeername"
end

--- A handle from elsewhere may be connected already.
function Peer:_note_peer()
  self._peer = self._handle:getpeername() and "connected" or "none"
end

return Peer
