-- A port at which the master accepts, and passes each connection to a worker.

local fd = require "mw.core.fd"
local port = require "mw.cluster.master.port"

---@class mw.PassingPort: mw.ClusterPort
local PassingPort = { kind = "passing" }
PassingPort.__index = PassingPort

local function serve(socket, key, policy, pick)
  local dispatcher, err = port.dispatch(socket, key, policy, pick)
  if not dispatcher then
    port.close(socket)
    return nil, err
  end
  return setmetatable({ address = port.address(socket), _socket = socket, _dispatcher = dispatcher }, PassingPort)
end

---@param key integer names it to the workers
---@param what mw.ListenTarget
---@param policy string
---@param pick? fun(outlets: userdata[], fd: integer): userdata for the policy "custom"
---@return mw.PassingPort?
---@return mw.Error|string|nil err
function PassingPort.open(key, what, policy, pick)
  local socket, err = port.listen(what)
  if not socket then
    return nil, err
  end
  return serve(socket, key, policy, pick)
end

--- Goes on with what an earlier image of the master has opened.
---@param key integer
---@param from table its heritage
---@param policy string
---@param pick? fun(outlets: userdata[], fd: integer): userdata
---@return mw.PassingPort
function PassingPort.adopt(key, from, policy, pick)
  return assert(serve(port.adopt(from.socket), key, policy, pick))
end

--- A worker serves it from now on.
---@param member mw.PortMember
function PassingPort:join(member)
  self._dispatcher:add(member.outlet, member.slot)
end

PassingPort.rejoin = PassingPort.join

---@param paused boolean
function PassingPort:set_paused(paused)
  self._dispatcher:set_paused(paused)
end

---@return integer
function PassingPort:waiting()
  return self._dispatcher:waiting()
end

---@return table
function PassingPort:heritage()
  return { kind = self.kind, socket = port.heritage(self._socket) }
end

--- A heritage for adopt(), of what a worker has brought.
---@return table
function PassingPort.brought(descriptor, what)
  return { kind = PassingPort.kind, socket = port.brought(descriptor, what) }
end

--- It is the one that is here.
---@param brought table
function PassingPort:add(brought) -- luacheck: ignore self
  fd.close(brought.socket.fd)
end

---@return integer
function PassingPort:reserve()
  return self._socket:fileno()
end

--- It does so no more.
---@param member mw.PortMember
function PassingPort:leave(member)
  self._dispatcher:remove(member.outlet)
end

--- Ends it: what waits is closed.
function PassingPort:close()
  self._dispatcher:close()
  port.close(self._socket)
end

return PassingPort
