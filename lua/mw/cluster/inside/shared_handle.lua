-- What a server of a worker listens on: a port that its master keeps. The
-- connections come by the intake, or by a copy of the socket, or by both. Of a
-- port where only the master accepts, the worker may have the socket in reserve,
-- for the time when there is no master.

local fd = require "mw.core.fd"

---@class mw.ClusterHandle: mw.SharedHandle
---@field key integer the port's
---@field kind string how the port is served, a name of the master's
local SharedHandle = {}
SharedHandle.__index = SharedHandle

---@class mw.ClusterHandleHooks
---@field serving fun(handle: mw.ClusterHandle) its server listens
---@field closed fun(handle: mw.ClusterHandle)

--- Makes the handle for a port.
---@param answer table the master's
---@param descriptor integer? the socket, the handle's from then on
---@param intake userdata
---@param hooks mw.ClusterHandleHooks
---@return mw.ClusterHandle
function SharedHandle.new(answer, descriptor, intake, hooks)
  return setmetatable({
    key = answer.key,
    kind = answer.kind,
    _name = answer.address,
    _exclusive = answer.exclusive,
    _fd = descriptor,
    _is_reserve = answer.reserve,
    _is_referenced = true,
    _intake = intake,
    _hooks = hooks,
  }, SharedHandle)
end

-- The server closes what it is given; the handle keeps its own.
local function open_acceptor(self)
  local copy, code = fd.dup(self._fd)
  if not copy then
    return nil, code
  end
  fd.set_nonblocking(copy, true)
  local acceptor
  acceptor, code = require("mw.core.acceptor").open(copy, self._exclusive or self._is_reserve, self._server)
  if not acceptor then
    fd.close(copy)
    return nil, code
  end
  acceptor:set_referenced(self._is_referenced)
  self._acceptor = acceptor
  self:_set_active(self._is_active)
  return acceptor
end

--- Gives a server what comes.
---@param server mw.ConnectionTaker|userdata
---@return true? ok
---@return string? text
---@return string? code
function SharedHandle:serve(server)
  self._server = server
  if self._fd and not self._is_reserve then
    local acceptor, code = open_acceptor(self)
    if not acceptor then
      return nil, code, code
    end
  end
  local ok, code = self._intake:serve(self.key, server)
  if not ok then
    return nil, code, code
  end
  self._hooks.serving(self)
  return true
end

--- Whether it accepts by itself, where it has a socket.
---@param active boolean
function SharedHandle:_set_active(active)
  self._is_active = active
  if self._acceptor then
    local method = active and "start" or "stop"
    self._acceptor[method](self._acceptor)
  end
end

--- There is no master: accepts by itself from now on.
function SharedHandle:_serve_alone()
  if self._is_reserve and self._server and not self._acceptor then
    open_acceptor(self)
  end
end

--- Another master has the port: connections come from it, or as they did.
---@param answer table the master's
---@param intake userdata
---@return boolean? ok
function SharedHandle:_rejoin(answer, intake)
  if self._server and not intake:serve(answer.key, self._server) then
    return nil
  end
  intake:set_referenced(answer.key, self._is_referenced)
  self.key, self._intake = answer.key, intake
  if self._is_reserve and self._acceptor then
    self._acceptor:close()
    self._acceptor = nil
  end
  return true
end

--- The socket, for a master that has none; it stays the handle's.
---@return integer?
function SharedHandle:_socket()
  return self._fd
end

---@return table|string
function SharedHandle:getsockname()
  return self._name
end

---@return integer?
function SharedHandle:fileno()
  return not self._is_reserve and self._fd or nil
end

---@return boolean
function SharedHandle:is_closing()
  return self._is_closed == true
end

function SharedHandle:close()
  if self._is_closed then
    return
  end
  self._is_closed = true
  self._intake:leave(self.key)
  if self._acceptor then
    self._acceptor:close()
  end
  if self._fd then
    fd.close(self._fd)
    self._fd = nil
  end
  self._hooks.closed(self)
end

local function set_referenced(self, referenced)
  self._is_referenced = referenced
  self._intake:set_referenced(self.key, referenced)
  if self._acceptor then
    self._acceptor:set_referenced(referenced)
  end
end

function SharedHandle:ref()
  set_referenced(self, true)
end

function SharedHandle:unref()
  set_referenced(self, false)
end

return SharedHandle
