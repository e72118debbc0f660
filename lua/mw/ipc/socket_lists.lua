-- Connections that were handed to another process, and that the server they
-- came from goes on counting: it asks that process how many are still open, and
-- to be told when none is. The messages are Node's. Each channel has both sides:
-- lists of what was sent, and of what has come.

local M = {}

-- Sent ------------------------------------------------------------------------

---@class mw.SentSockets a server's sockets that are with a peer
---@field package _counts fun(count: integer)[] who waits for the number
---@field package _ends fun()[] who waits for there to be none
local Sent = {}
Sent.__index = Sent

local function new_sent(channel, key, server)
  return setmetatable({ _channel = channel, _key = key, _server = server, _counts = {}, _ends = {} }, Sent)
end

local function answer(waiting, ...)
  for index = #waiting, 1, -1 do
    table.remove(waiting, index)(...)
  end
end

local function ask(self, command, waiting, done)
  if not self._channel then
    return done(0)
  end
  table.insert(waiting, done)
  self._channel:tell_in_turn { cmd = command, key = self._key }
end

--- Asks how many are open; 0 once the peer is gone. (NODE_SOCKET_GET_COUNT)
---@param done fun(count: integer)
function Sent:count(done)
  ask(self, "NODE_SOCKET_GET_COUNT", self._counts, done)
end

--- Asks to be told when none is open. (NODE_SOCKET_NOTIFY_CLOSE)
---@param done fun()
function Sent:when_empty(done)
  ask(self, "NODE_SOCKET_NOTIFY_CLOSE", self._ends, done)
end

-- Both ------------------------------------------------------------------------

---@class mw.SocketLists
local Lists = {}
Lists.__index = Lists

--- Makes the lists of a channel.
---@param channel mw.Channel
---@return mw.SocketLists
function M.new(channel)
  return setmetatable({ _channel = channel, _sent = {}, _received = {} }, Lists)
end

-- Servers are told apart by numbers.
local keys = setmetatable({}, { __mode = "k" })
local last_key = 0

local function key_of(server)
  if not keys[server] then
    last_key = last_key + 1
    keys[server] = ("mw:%d"):format(last_key)
  end
  return keys[server]
end

--- Takes note that a socket of this server goes to the peer; returns the key
--- that the message must have.
---@param server mw.Server
---@return string
function Lists:send(server)
  local key = key_of(server)
  if not self._sent[key] then
    self._sent[key] = new_sent(self._channel, key, server)
  end
  server:_share(self._sent[key])
  return key
end

local function tell_if_empty(self, key)
  local list = self._received[key]
  if list and list.count == 0 and list.is_watched then
    self._received[key] = nil
    self._channel:tell_in_turn { cmd = "NODE_SOCKET_ALL_CLOSED", key = key }
  end
end

--- Takes note that a socket with this key has come; returns the function to call
--- when it is closed.
---@param key any
---@return fun()
function Lists:receive(key)
  local list = self._received[key] or { count = 0 }
  self._received[key] = list
  list.count = list.count + 1
  return function()
    list.count = list.count - 1
    tell_if_empty(self, key)
  end
end

--- What the peer asks or answers, by `cmd`. Keys that nobody knows count none.
Lists.commands = {}

function Lists.commands:NODE_SOCKET_GET_COUNT(key)
  local list = self._received[key]
  self._channel:tell_in_turn { cmd = "NODE_SOCKET_COUNT", key = key, count = list and list.count or 0 }
end

function Lists.commands:NODE_SOCKET_NOTIFY_CLOSE(key)
  local list = self._received[key] or { count = 0 }
  self._received[key] = list
  list.is_watched = true
  tell_if_empty(self, key)
end

function Lists.commands:NODE_SOCKET_COUNT(key, envelope)
  local sent = self._sent[key]
  if sent and math.type(envelope.count) == "integer" then
    answer(sent._counts, envelope.count)
  end
end

function Lists.commands:NODE_SOCKET_ALL_CLOSED(key)
  local sent = self._sent[key]
  if sent then
    answer(sent._ends)
  end
end

--- The peer is gone, and its sockets with it.
function Lists:close()
  for _, sent in pairs(self._sent) do
    sent._channel = nil
    sent._server:_unshare(sent)
    answer(sent._counts, 0)
    answer(sent._ends)
  end
end

return M
