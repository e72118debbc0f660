-- Our end of the channel to a child: opened before the child, closed when
-- either side closes it. Only its life is kept here; what travels on it is the
-- business of the modules above.

local fd = require "mw.core.fd"
local uv = require "luv"

---@class mw.ChannelConnection
---@field on_close fun()? called once, when the connection has ended
local Connection = { __name = "mw.channel_connection" }
Connection.__index = Connection

--- Takes over a descriptor.
---@param descriptor integer
---@return mw.ChannelConnection
function Connection.new(descriptor)
  local self = setmetatable({ fd = descriptor }, Connection)
  self._poll = assert(uv.new_poll(descriptor))
  self._poll:unref()
  self._poll:start("d", function()
    self:close()
  end)
  return self
end

--- Closes the connection; `on_close` follows. May be called twice.
function Connection:close()
  if not self._poll then
    return
  end
  local poll = self._poll
  self._poll = nil
  poll:close(function()
    fd.close(self.fd)
    if self.on_close then
      self.on_close()
    end
  end)
end

--- The variables that tell a child about its end.
---@param descriptor integer the child's
---@param serialization "msgpack"|"json"
---@return table<string, string>
function Connection.variables(descriptor, serialization)
  if serialization == "json" then
    return { NODE_CHANNEL_FD = tostring(descriptor), NODE_CHANNEL_SERIALIZATION_MODE = "json" }
  end
  return { MW_CHANNEL_FD = tostring(descriptor) }
end

return Connection
