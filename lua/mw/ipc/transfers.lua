-- Handles under way to the peer: each stays open here until the peer has said
-- that it has it, is sent again where it did not get there (three times), and is
-- closed when the channel ends.

local max_retries = 3

---@class mw.Transfer
---@field number integer
---@field envelope table the message around the handle
---@field parcel mw.Parcel open until the peer has its own
---@field offset integer what the kernel must have taken
---@field callback mw.SendCallback?
---@field retries integer

---@class mw.Transfers
local Transfers = {}
Transfers.__index = Transfers

--- Makes an empty list, of those that are sent on a channel.
---@param channel mw.Channel
---@param drop fun(parcel: mw.Parcel) closes what held the handle
---@return mw.Transfers
function Transfers.new(channel, drop)
  return setmetatable({ _channel = channel, _drop = drop, _by_number = {}, _first = 1, _last = 0 }, Transfers)
end

---@return boolean
function Transfers:is_empty()
  return self._first > self._last
end

--- The number for the next one.
---@return integer
function Transfers:next_number()
  return self._last + 1
end

--- Adds the one that was just sent.
---@param transfer mw.Transfer
function Transfers:add(transfer)
  self._last = self._last + 1
  transfer.number, transfer.retries = self._last, 0
  self._by_number[self._last] = transfer
end

-- A peer that numbers nothing (Node) answers in order. None can have an answer
-- that has not gone out: its descriptor is still needed.
local function find(self, number)
  if number == nil then
    number = self._first
  end
  local transfer = self._by_number[number]
  return transfer and self._channel:has_sent(transfer.offset) and transfer or nil
end

local function finish(self, transfer)
  self._drop(transfer.parcel)
  self._by_number[transfer.number] = nil
  while self._first <= self._last and not self._by_number[self._first] do
    self._first = self._first + 1
  end
  if transfer.callback then
    transfer.callback.unacknowledged = nil
  end
end

--- The peer has those from `first` to `last`; one of them where `first` is nil,
--- the oldest where both are. Numbers that are not under way are ignored.
---@param first integer?
---@param last integer?
function Transfers:acknowledged(first, last)
  first, last = math.max(first or last or self._first, self._first), math.min(last or self._first, self._last)
  for number = first, last do
    local transfer = find(self, number)
    if transfer then
      finish(self, transfer)
    end
  end
end

-- The peer must not wait for it.
local function tell_lost(self, number)
  self._channel:tell { cmd = "NODE_HANDLE_LOST", number = number }
end

local function give_up(self, transfer)
  tell_lost(self, transfer.number)
  finish(self, transfer)
  io.stderr:write "mwrun: a handle did not reach the receiving process: it has too many descriptors open\n"
end

local function send_again(self, transfer)
  transfer.retries = transfer.retries + 1
  transfer.offset = self._channel:tell(transfer.envelope, transfer.parcel.fd)
  return transfer.offset ~= nil
end

--- It did not get there.
---@param number any
function Transfers:refused(number)
  local transfer = find(self, number)
  if not transfer and number ~= nil then
    tell_lost(self, number)
  elseif not transfer then
    return
  elseif transfer.retries == max_retries or not send_again(self, transfer) then
    give_up(self, transfer)
  end
end

--- Closes all: the channel has ended.
function Transfers:close()
  for _, transfer in pairs(self._by_number) do
    self._drop(transfer.parcel)
  end
  self._by_number, self._first = {}, self._last + 1
end

return Transfers
