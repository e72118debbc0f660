-- What comes on a channel: messages, in order, to whoever listens, each with its
-- handle. What nobody listens to is kept for the first who does.

local Inbox = require "mw.ipc.inbox"
local fd = require "mw.core.fd"
local late = require "mw.ipc.late"
local tick = require "mw.tick"

-- So many messages are kept for the first listener; then the sender waits.
local kept_for_a_listener = 10000

---@class mw.Receiver
local Receiver = {}
Receiver.__index = Receiver

--- Makes the receiving side of a channel.
---@param channel mw.Channel
---@param core userdata of mw.core.channel
---@param before? mw.Receiver of the connection before, for what nobody has listened to
---@return mw.Receiver
function Receiver.new(channel, core, before)
  local self = setmetatable({ _channel = channel, _core = core, _owner = channel.owner }, Receiver)
  self._inbox = before and before._inbox or Inbox.new(channel.owner)
  self._inbox:await_none()
  self:_follow_listener()
  core:read_start()
  return self
end

-- Messages go straight to a listener that is alone, as long as none waits.
function Receiver:_follow_listener()
  self._core:set_listener(self._inbox.count == 0 and self._owner:_only_listener "message" or nil)
end

local function arrive(self, arrival)
  local owner, inbox = self._owner, self._inbox
  if inbox.count == 0 and not arrival.lost and owner:listener_count "message" > 0 then
    owner:emit("message", arrival.value, arrival.open and arrival:open())
    return
  end
  inbox:put(arrival)
  self._core:set_listener(nil)
  -- What waits behind a handle needs what is still to come.
  if inbox.count >= kept_for_a_listener and not inbox:is_held() and not self._reads_to_end then
    self._core:read_stop()
  end
end

local function hand_out(self)
  self._inbox:hand_out()
  if self._inbox.count == 0 then
    self:_follow_listener()
  end
  if self._inbox.count == 0 or self._inbox:is_held() then
    self._core:read_start()
  end
end

--- Tells that listeners have come or gone: what waits is for the first one.
function Receiver:listeners_changed()
  self:_follow_listener()
  if self._inbox.count > 0 and not self._handing_out and self._owner:listener_count "message" > 0 then
    self._handing_out = true
    tick.add(function()
      self._handing_out = false
      hand_out(self)
    end)
  end
end

--- Whether nothing waits for a listener, and no acknowledgement is due.
---@return boolean
function Receiver:is_quiet()
  return self._inbox.count == 0 and not self._first_due
end

--- Takes all that is still to come, listener or not: the peer has ended, and
--- the channel is to reach its end.
function Receiver:read_to_end()
  self._reads_to_end = true
  self._core:read_start()
end

local function open_descriptor(arrival)
  return late.handle().open_descriptor(arrival.fd)
end

local function open_handle(arrival)
  return late.handle().open(arrival.envelope, arrival.fd)
end

--- Takes a message that is no runtime's, with a descriptor where a program of
--- any kind has sent one with it.
---@param value any
---@param descriptor integer|false|nil false where it did not get here
function Receiver:message(value, descriptor)
  arrive(self, { value = value, fd = descriptor or nil, open = descriptor and open_descriptor or nil })
end

-- Acknowledgements go out once a turn, for all handles in a row at once.

--- Sends the acknowledgements that are due.
function Receiver:acknowledge()
  if self._first_due then
    self._channel:tell { cmd = "NODE_HANDLE_ACK", first = self._first_due, number = self._last_due }
    self._first_due, self._last_due = nil, nil
  end
end

local function acknowledge_later(self, number)
  if self._last_due ~= number - 1 then
    self:acknowledge()
    self._first_due = number
    require("mw.timers").set_immediate(self.acknowledge, self)
  end
  self._last_due = number
end

-- A peer that gives no number (Node) waits for the answer.
local function answer(self, number, has_come)
  if has_come and number then
    acknowledge_later(self, number)
  else
    self._channel:tell { cmd = has_come and "NODE_HANDLE_ACK" or "NODE_HANDLE_NACK", number = number }
  end
end

--- Takes a message with a handle. Without its descriptor it is refused, and
--- comes again; its place is kept where it has a number: a peer that gives none
--- sends nothing meanwhile.
---@param envelope table
---@param descriptor integer|false false where it did not get here
function Receiver:handle(envelope, descriptor)
  local number, inbox = envelope.number, self._inbox
  answer(self, number, descriptor ~= false)
  if inbox:awaits(number) then
    if descriptor then
      inbox:found(number, descriptor)
      hand_out(self)
    end
  elseif descriptor or number then
    late.handle().arrived(envelope, self._channel)
    arrive(self, {
      value = envelope.msg,
      envelope = envelope,
      fd = descriptor or nil,
      open = open_handle,
      lost = not descriptor and number or nil,
    })
  end
end

--- A handle that was to come again never will.
---@param number integer?
function Receiver:lost(number)
  if self._inbox:awaits(number) then
    self._inbox:found(number)
    hand_out(self)
  end
end

--- Closes descriptors that nobody has asked for.
---@param ... integer|false|nil
function Receiver.drop(...)
  for index = 1, select("#", ...) do
    local descriptor = select(index, ...)
    if descriptor then
      fd.close(descriptor)
    end
  end
end

return Receiver
