-- What has come on a channel and waits for its turn: for somebody who listens,
-- or behind a message whose handle did not get here and will be sent again.

local close = require("mw.core.fd").close

---@class mw.Arrival
---@field value any the message
---@field fd integer? the descriptor of its handle
---@field envelope table? what was said of the handle
---@field open (fun(arrival: mw.Arrival): any)? makes the handle of it
---@field lost integer? the number of a handle that is to come again

---@class mw.Inbox
---@field count integer
local Inbox = {}
Inbox.__index = Inbox

--- Makes an empty one, for messages that `owner` emits.
---@param owner mw.Emitter
---@return mw.Inbox
function Inbox.new(owner)
  return setmetatable({ count = 0, _owner = owner, _first = 1, _lost = {} }, Inbox)
end

--- Adds one at the end.
---@param arrival mw.Arrival
function Inbox:put(arrival)
  self[self._first + self.count] = arrival
  self.count = self.count + 1
  if arrival.lost then
    self._lost[arrival.lost] = arrival
  end
end

--- Whether a handle of this number is to come again.
---@param number any
---@return boolean
function Inbox:awaits(number)
  return number ~= nil and self._lost[number] ~= nil
end

--- Whether the first that waits, waits for its handle, and the others for it.
---@return boolean
function Inbox:is_held()
  local first = self[self._first]
  return first ~= nil and first.lost ~= nil
end

--- Tells that such a handle has come, or, without a descriptor, never will.
---@param number any
---@param fd integer?
function Inbox:found(number, fd)
  local arrival = self._lost[number]
  self._lost[number] = nil
  arrival.lost, arrival.fd = nil, fd
end

--- Tells that none will come again.
function Inbox:await_none()
  for number in pairs(self._lost) do
    self:found(number)
  end
end

local function take(self)
  local arrival = self[self._first]
  self[self._first] = nil
  self._first, self.count = self._first + 1, self.count - 1
  return arrival
end

--- Emits what can be: in order, to whoever listens.
function Inbox:hand_out()
  local owner = self._owner
  while self.count > 0 and not self[self._first].lost and owner:listener_count "message" > 0 do
    local arrival = take(self)
    owner:emit("message", arrival.value, arrival.open and arrival:open())
  end
end

-- The descriptors in one that nobody has ever listened to.
function Inbox:__gc()
  for index = self._first, self._first + self.count - 1 do
    if self[index].fd then
      close(self[index].fd)
    end
  end
end

return Inbox
