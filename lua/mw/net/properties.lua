-- What a socket tells about itself and works out only when it is asked.

local address = require "mw.net.address"

local M = {}

-- It is remembered, for who asks after the end.
local function peer(self)
  if not self._peer and self._handle then
    self._peer = address.of(self._handle:getpeername())
  end
  return self._peer or {}
end

function M:remote_address()
  return peer(self).address
end

function M:remote_port()
  return peer(self).port
end

function M:remote_family()
  return peer(self).family
end

function M:local_address()
  return self:address().address
end

function M:local_port()
  return self:address().port
end

function M:local_family()
  return self:address().family
end

function M:pending()
  return not self._handle or self.connecting
end

function M:buffer_size()
  return self._pending_bytes
end

function M:bytes_written()
  local current = self._current and #self._current.chunk or 0
  return self._bytes_taken + self._pending_bytes - current
end

function M:ready_state()
  if self.connecting then
    return "opening"
  end
  local readable = not self.destroyed and self._handle ~= nil and not self._end_emitted
  local writable = not self.destroyed and self._handle ~= nil and not self._finishing
  return readable and (writable and "open" or "read_only") or writable and "write_only" or "closed"
end

return M
