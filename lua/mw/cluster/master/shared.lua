-- A port whose one socket the master and all workers have: they accept, or
-- receive, by themselves.

local fd = require "mw.core.fd"
local port = require "mw.cluster.master.port"

---@class mw.SharedPort: mw.ClusterPort
---@field exclusive boolean whether one connection is to wake one worker only
local SharedPort = { kind = "shared", exclusive = true }
SharedPort.__index = SharedPort

---@param what mw.ListenTarget|mw.DgramBinding
---@return mw.SharedPort?
---@return mw.Error|string|nil err
function SharedPort.open(what)
  local make = what.type and port.bind_datagram or port.listen
  local socket, err = make(what)
  if not socket then
    return nil, err
  end
  return setmetatable({ address = port.address(socket), _socket = socket }, SharedPort)
end

--- Goes on with what an earlier image of the master has opened.
---@param from table its heritage
---@return mw.SharedPort
function SharedPort.adopt(_, from)
  local socket = port.adopt(from.socket)
  return setmetatable({ address = port.address(socket), _socket = socket }, SharedPort)
end

--- A worker serves it from now on.
---@return integer descriptor for the worker; it stays ours
function SharedPort:join()
  return self._socket:fileno()
end

function SharedPort:rejoin() end -- luacheck: ignore self

--- It does so no more.
function SharedPort:leave() end -- luacheck: ignore self

-- The workers accept.
function SharedPort:set_paused() end -- luacheck: ignore self

---@return integer
function SharedPort.waiting()
  return 0
end

---@return table
function SharedPort:heritage()
  return { kind = self.kind, socket = port.heritage(self._socket) }
end

--- A heritage for adopt(), of what a worker has brought.
---@return table
function SharedPort.brought(descriptor, what)
  return { kind = SharedPort.kind, socket = port.brought(descriptor, what) }
end

--- It is the one that is here.
---@param brought table
function SharedPort:add(brought) -- luacheck: ignore self
  fd.close(brought.socket.fd)
end

--- Ends it.
function SharedPort:close()
  port.close(self._socket)
end

return SharedPort
