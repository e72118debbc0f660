-- What a request tells about the connection that it came by.

local class = require "mw.core.class"
local emitter = require "mw.emitter"
local net = require "mw.net"

---@class mw.HttpConnection: mw.Emitter
---@field remote_address string?
---@field remote_port integer?
---@field remote_family "IPv4"|"IPv6"|nil
---@field local_address string?
---@field local_port integer?
---@field local_family "IPv4"|"IPv6"|nil
local Connection = emitter.class "mw.http.connection"

local getters = {}

local function end_of(self, side)
  local fd = self._exchange:fileno()
  self._ends = self._ends or fd and net._ends_of(fd) or {}
  return self._ends[side] or {}
end

for _, side in ipairs { "remote", "local" } do
  for _, what in ipairs { "address", "port", "family" } do
    getters[side .. "_" .. what] = function(self)
      return end_of(self, side)[what]
    end
  end
end

function getters:destroyed()
  return self._exchange:fileno() == nil
end

Connection.__index = class.indexer(Connection, getters)

---@param exchange userdata
---@return mw.HttpConnection
function Connection.new(exchange)
  local self = setmetatable({ _exchange = exchange }, Connection)
  end_of(self, "remote") -- who it was is asked for after the end too
  return self
end

--- Ends the connection at once.
---@return mw.HttpConnection self
function Connection:destroy()
  self._exchange:cut()
  return self
end

return Connection
