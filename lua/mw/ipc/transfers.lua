-- Handles under way to the peer: each stays open here until the peer has said
-- that it has it, is sent again where it did not get there (three times), and is
-- closed when the channel ends.

local max_retries = 3


---@class mw.Transfer
---@field number integer
---@field envelope table the message around the handle
---@field parcel mw.Parcel open until the peer has its own
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

-- A peer that numbers nothing (Node) answers in order.
local function find(self, number)
  if number == nil then
    number = self._first
  end
  return self._by_number[number]
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

--- The peer has it. A number that is not under way is ignored.
---@param number any
function Transfers:acknowledged(number)
  local transfer = find(self, number)
  if transfer then
    finish(self, transfer)
  end
end

local function give_up(self, transfer)
  self._channel:tell { cmd = "NODE_HANDLE_LOST", number = transfer.number }
  finish(self, transfer)
  io.stderr:write "mwrun: a handle did not reach the receiving process: it has too many descriptors open\n"
end

--- It did not get there.
---@param number any
function Transfers:refused(number)
  local transfer = find(self, number)
  if not transfer then
    return
  elseif transfer.retries == max_retries then
    return give_up(self, transfer)
  end
  transfer.retries = transfer.retries + 1
  self._channel:tell(transfer.envelope, transfer.parcel.fd)
end

--- Closes all: the channel has ended.
function Transfers:close()
  for _, transfer in pairs(self._by_number) do
    self._drop(transfer.parcel)
  end
  self._by_number, self._first = {}, self._last + 1
end

return Transfers
