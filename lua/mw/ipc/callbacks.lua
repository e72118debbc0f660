-- The callbacks of what was sent, each called once, in the order of the sends:
-- when the kernel has taken the message, or, where it has a handle, when the
-- receiver has that.

local tick = require "mw.tick"

---@class mw.SendCallback
---@field fn fun(err: mw.Error?)
---@field offset integer what the kernel must have taken
---@field err mw.Error? why it was not sent
---@field unacknowledged boolean? its handle is under way

---@class mw.SendCallbacks
local Callbacks = {}
Callbacks.__index = Callbacks

---@return mw.SendCallbacks
function Callbacks.new()
  return setmetatable({ _first = 1, _last = 0 }, Callbacks)
end

---@param entry mw.SendCallback
---@return mw.SendCallback
function Callbacks:add(entry)
  self._last = self._last + 1
  self[self._last] = entry
  return entry
end

---@return boolean
function Callbacks:is_empty()
  return self._first > self._last
end

local function settle(self, err)
  local entry = self[self._first]
  self[self._first] = nil
  self._first = self._first + 1
  tick.add(entry.fn, entry.err or err)
end

--- Calls those whose turn it is, now that so many bytes are the kernel's.
---@param offset integer
function Callbacks:sent(offset)
  while self._first <= self._last do
    local entry = self[self._first]
    if not entry.err and (entry.unacknowledged or entry.offset > offset) then
      break
    end
    settle(self)
  end
end

--- Calls all that are left: nothing goes out any more.
---@param sent integer so many bytes have gone out
---@param err mw.Error for those who were not sent, or whose handle nobody has acknowledged
function Callbacks:close(sent, err)
  while self._first <= self._last do
    local entry = self[self._first]
    local is_lost = not entry.err and (entry.unacknowledged or entry.offset > sent)
    settle(self, is_lost and err or nil)
  end
end

return Callbacks
