-- A port whose one socket the master and all workers have: they accept, or
-- receive, by themselves.

local port = require "mw.cluster.master.port"

---@class mw.SharedPort: mw.ClusterPort
---@field exclusive boolean whether one connection is to wake one worker only
local SharedPort = { exclusive = true }
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

--- A worker serves it from now on.
---@return integer descriptor for the worker; it stays ours
function SharedPort:join()
  return self._socket:fileno()
end

--- It does so no more.
function SharedPort:leave() end -- luacheck: ignore self

--- Ends it.
function SharedPort:close()
  port.close(self._socket)
end

return SharedPort
