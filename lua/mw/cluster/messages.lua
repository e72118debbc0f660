-- What master and worker tell each other beside the messages of the program:
-- requests, each with its `act`, and the answers to those that want one. A
-- descriptor may go along with either.

local fd = require "mw.core.fd"

---@class mw.ClusterLink one end of it, on a channel
local Link = {}
Link.__index = Link

local command = "NODE_CLUSTER"

local function close(descriptor)
  if descriptor then
    fd.close(descriptor)
  end
end

-- The caller may close his descriptor before the kernel has taken it.
local function tell(self, envelope, descriptor)
  local copy = descriptor and fd.dup(descriptor)
  if not self._channel or descriptor and not copy then
    close(copy)
    return false
  end
  envelope.cmd, envelope.descriptor = command, copy and true or nil
  local offset = self._channel:tell(envelope, copy)
  if not offset then
    close(copy)
  elseif copy then
    self._channel:when_sent(offset, function()
      close(copy)
    end)
  end
  return offset ~= nil
end

local function on_answer(self, message, descriptor)
  local answer = self._awaited[message.ack]
  if not answer then
    return close(descriptor)
  end
  self._awaited[message.ack] = nil
  answer(message, descriptor)
end

local function on_request(self, message, descriptor)
  local number = math.type(message.seq) == "integer" and message.seq or nil
  self._take(message, descriptor, function(answer, answer_descriptor)
    if number then
      answer = answer or {}
      answer.ack, number = number, nil
      return tell(self, answer, answer_descriptor)
    end
    return false
  end)
end

---@alias mw.ClusterReply fun(answer?: table, descriptor?: integer): boolean
---@alias mw.ClusterRequestTaker fun(message: table, descriptor: integer|false|nil, reply: mw.ClusterReply)

--- Opens the end on a channel. `take` gets the requests, each with a text as its
--- `act`; all else in one is the peer's word. Its descriptor is the taker's,
--- false where it did not get here. The answer goes out once, and nowhere where
--- none is wanted.
---@param channel mw.Channel? nil where there is none: then nothing can be sent
---@param take mw.ClusterRequestTaker
---@return mw.ClusterLink
function Link.new(channel, take)
  local self = setmetatable({ _channel = channel, _take = take, _awaited = {}, _last = 0 }, Link)
  if channel then
    channel:on_command(command, function(message, descriptor)
      if message.ack ~= nil then
        on_answer(self, message, descriptor)
      elseif type(message.act) == "string" then
        on_request(self, message, descriptor)
      else
        close(descriptor)
      end
    end)
  end
  return self
end

--- Sends a request; false where it can't be. The answer does not come where the
--- channel ends first.
---@param message table has `act`; the link's from then on
---@param descriptor? integer stays the caller's, who may close it
---@param answer? fun(message: table, descriptor: integer|false|nil) the descriptor is its own
---@return boolean
function Link:send(message, descriptor, answer)
  if answer then
    self._last = self._last + 1
    message.seq = self._last
  end
  local is_sent = tell(self, message, descriptor)
  if answer and is_sent then
    self._awaited[message.seq] = answer
  end
  return is_sent
end

return Link
