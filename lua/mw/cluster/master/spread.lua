-- A port with one socket for each worker, over which the kernel spreads. To
-- close one would reset the connections that are queued on it: so the master
-- keeps them all. What comes at one whose worker has gone, it passes to the
-- others, until a new worker inherits it.

local names = require("mw.core.socket").names
local port = require "mw.cluster.master.port"

---@class mw.SpreadPort: mw.ClusterPort
---@field private _sockets { handle: userdata, dispatcher: userdata, owner: mw.PortMember? }[]
local SpreadPort = { kind = "spread" }
SpreadPort.__index = SpreadPort

local function serve(self, handle)
  local dispatcher, err = port.dispatch(handle, self._key, "reuseport")
  if not dispatcher then
    port.close(handle)
    return nil, err
  end
  local socket = { handle = handle, dispatcher = dispatcher }
  table.insert(self._sockets, socket)
  for member in pairs(self._members) do
    dispatcher:add(member.outlet, member.slot)
  end
  return socket
end

local function add_socket(self, what)
  local handle, err = port.listen(what)
  if not handle then
    return nil, err
  end
  return serve(self, handle)
end

---@param key integer names it to the workers
---@param what mw.ListenTarget
---@return mw.SpreadPort?
---@return mw.Error|string|nil err
function SpreadPort.open(key, what)
  local self = setmetatable({ _key = key, _sockets = {}, _members = {} }, SpreadPort)
  self._what = setmetatable({ reuse_port = true }, { __index = what })
  local first, err = add_socket(self, self._what)
  if not first then
    return nil, err
  end
  self.address = port.address(first.handle)
  self._what.address, self._what.port = self.address.ip, self.address.port
  return self
end

--- Goes on with what an earlier image of the master has opened.
---@param key integer
---@param from table its heritage
---@return mw.SpreadPort
function SpreadPort.adopt(key, from)
  local self = setmetatable({ _key = key, _sockets = {}, _members = {}, _what = from.what }, SpreadPort)
  self:add(from)
  self.address = port.address(self._sockets[1].handle)
  return self
end

--- A heritage for adopt() or add(), of the socket that a worker has brought.
---@return table
function SpreadPort.brought(descriptor, what, owner_id)
  local name = names(descriptor) or {}
  return {
    kind = SpreadPort.kind,
    what = {
      address = name.ip,
      port = name.port,
      backlog = what.backlog,
      ipv6_only = what.ipv6_only,
      reuse_port = true,
    },
    sockets = { { socket = port.brought(descriptor, what), owner_id = owner_id } },
  }
end

--- Goes on with more sockets of the kind.
---@param from table a heritage
function SpreadPort:add(from)
  for _, each in ipairs(from.sockets) do
    local added = assert(serve(self, port.adopt(each.socket)))
    added.owner_id = each.owner_id
  end
end

local function without_owner(self)
  for _, socket in ipairs(self._sockets) do
    if not socket.owner then
      return socket
    end
  end
end

local function own(socket, member)
  socket.owner = member
  socket.dispatcher:set_paused(true)
end

local function add_member(self, member)
  self._members[member] = true
  for _, each in ipairs(self._sockets) do
    each.dispatcher:add(member.outlet, member.slot)
  end
end

--- A worker serves it from now on.
---@param member mw.PortMember
---@return integer? descriptor for the worker; it stays ours
---@return mw.Error|string|nil err
function SpreadPort:join(member)
  local socket, err = without_owner(self)
  if not socket then
    socket, err = add_socket(self, self._what)
  end
  if not socket then
    return nil, err
  end
  own(socket, member)
  add_member(self, member)
  return socket.handle:fileno()
end

--- It has its socket from an earlier image of the master.
---@param member mw.PortMember
function SpreadPort:rejoin(member)
  for _, socket in ipairs(self._sockets) do
    if socket.owner_id == member.worker.id then
      own(socket, member)
    end
  end
  add_member(self, member)
end

--- Where a worker accepts, we don't.
---@param paused boolean
function SpreadPort:set_paused(paused)
  for _, socket in ipairs(self._sockets) do
    socket.dispatcher:set_paused(paused or socket.owner ~= nil)
  end
end

---@return integer
function SpreadPort:waiting()
  local count = 0
  for _, socket in ipairs(self._sockets) do
    count = count + socket.dispatcher:waiting()
  end
  return count
end

---@return table
function SpreadPort:heritage()
  local what, sockets = self._what, {}
  for index, socket in ipairs(self._sockets) do
    sockets[index] = { socket = port.heritage(socket.handle), owner_id = socket.owner and socket.owner.worker.id }
  end
  return {
    kind = self.kind,
    what = {
      address = what.address,
      port = what.port,
      backlog = what.backlog,
      ipv6_only = what.ipv6_only,
      reuse_port = true,
    },
    sockets = sockets,
  }
end

--- It does so no more.
---@param member mw.PortMember
function SpreadPort:leave(member)
  self._members[member] = nil
  for _, socket in ipairs(self._sockets) do
    socket.dispatcher:remove(member.outlet)
    if socket.owner == member then
      socket.owner = nil
      socket.dispatcher:set_paused(false)
    end
  end
end

--- Ends it: what waits is closed.
function SpreadPort:close()
  for _, socket in ipairs(self._sockets) do
    socket.dispatcher:close()
    port.close(socket.handle)
  end
end

return SpreadPort
