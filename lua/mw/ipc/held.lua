-- What was sent behind a handle that is under way, on a channel whose peer may
-- be Node: that takes a message behind a handle for one before it, so it goes
-- out once the handle is there. Messages are kept as text: what the sender does
-- with a table afterwards changes nothing.

local core = require "mw.core.json"

---@class mw.HeldMessage
---@field text string
---@field parcel mw.Parcel?
---@field callback mw.SendCallback?

---@class mw.Held
---@field bytes integer of all texts
local Held = {}
Held.__index = Held

--- Makes an empty list.
---@param drop fun(parcel: mw.Parcel) closes what held the handle
---@return mw.Held
function Held.new(drop)
  return setmetatable({ bytes = 0, _drop = drop, _first = 1, _last = 0 }, Held)
end

---@return boolean
function Held:is_empty()
  return self._first > self._last
end

--- Adds a message at the end; nil and a sentence for what cannot be sent.
---@param message any
---@param parcel? mw.Parcel the list's from then on
---@param callback? mw.SendCallback
---@return integer? bytes
---@return string? problem
function Held:add(message, parcel, callback)
  local text, problem = core.encode(message)
  if not text then
    return nil, (problem:gsub("value", "message", 1))
  end
  self._last = self._last + 1
  self[self._last] = { text = text, parcel = parcel, callback = callback }
  self.bytes = self.bytes + #text
  return #text
end

--- Takes off the first one, which must be there.
---@return any message
---@return mw.Parcel? parcel the caller's from then on
---@return mw.SendCallback? callback
function Held:take()
  local entry = self[self._first]
  self[self._first] = nil
  self._first = self._first + 1
  self.bytes = self.bytes - #entry.text
  return core.decode(entry.text), entry.parcel, entry.callback
end

--- Drops all: the channel has ended.
function Held:close()
  for index = self._first, self._last do
    if self[index].parcel then
      self._drop(self[index].parcel)
    end
    self[index] = nil
  end
  self._first, self.bytes = self._last + 1, 0
end

return Held
