-- One end of the channel between a process and its parent: messages both ways,
-- in order, with handles, none lost. Used by the child's object on one side and
-- by the process's own on the other; each is the channel's owner, an emitter.

local Receiver = require "mw.ipc.receiver"
local Sender = require "mw.ipc.sender"
local core = require "mw.core.channel"
local errors = require "mw.error"
local exit = require "mw.exit"
local late = require "mw.ipc.late"
local system = require "mw.core.system"
local tick = require "mw.tick"

---@class mw.Channel
---@field owner mw.Emitter gets `message` (value, handle) and `disconnect`
---@field post fun(message: any): boolean? sends a plain message the quick way; nil where send() must look
---@field as_text boolean whether it carries JSON, and so no bytes that are not text
---@field socket_lists mw.SocketLists? once a connection of a server has gone over it
---@field on_disconnecting fun() called when nothing can be sent any more
---@field on_close fun() called once, when the connection is over
local Channel = { __name = "mw.channel" }
Channel.__index = Channel

local open_channels = {}

local function closed_error()
  return errors.new("ERR_IPC_CHANNEL_CLOSED", "ERR_IPC_CHANNEL_CLOSED: the channel is closed")
end

-- Keeps the loop alive for who listens, and for a handle that may have to be
-- sent again.
local function set_referenced(self)
  local is_wanted = self._is_followed or self._sender:is_busy()
  local method = self._by_hand or is_wanted and "ref" or "unref"
  self._core[method](self._core)
end

-- After disconnect(), once everything has gone out and every handle is there.
local function close_if_sent(self)
  if self._disconnecting and not self._ended and self._sender:is_over() then
    self._sender:settle(math.huge)
    self._core:close()
  end
end

-- Between the runtimes ------------------------------------------------------

-- What one tells the other beside messages, by `cmd`. The names are Node's.
local commands = {}

-- Where the frame itself speaks of no descriptor, it is no handle.
function commands.NODE_HANDLE(self, envelope, descriptor)
  if descriptor ~= nil then
    self._receiver:handle(envelope, descriptor)
  end
end

function commands.NODE_HANDLE_LOST(self, envelope)
  self._receiver:lost(envelope.number)
end

function commands.NODE_HANDLE_ACK(self, envelope)
  self._sender:acknowledged(envelope.first, envelope.number)
  set_referenced(self)
  close_if_sent(self)
end

function commands.NODE_HANDLE_NACK(self, envelope)
  self._sender:refused(envelope.number)
  set_referenced(self)
  close_if_sent(self)
end

-- Counts of connections.
local function on_socket_command(self, envelope)
  if envelope.key then
    local lists = late.handle().lists_of(self)
    lists.commands[envelope.cmd](lists, envelope.key, envelope)
  end
end

for _, command in ipairs { "GET_COUNT", "COUNT", "NOTIFY_CLOSE", "ALL_CLOSED" } do
  commands["NODE_SOCKET_" .. command] = on_socket_command
end

-- Whether it was for somebody who has asked for this `cmd`.
local function give_to_taker(self, envelope, descriptor)
  local take = self._takers[envelope.cmd]
  if take then
    take(envelope, descriptor)
  end
  return take ~= nil
end

-- A peer may say anything: what is no number or key of ours is as good as none.
local function drop_nonsense(envelope)
  for _, name in ipairs { "first", "number" } do
    if math.type(envelope[name]) ~= "integer" then
      envelope[name] = nil
    end
  end
  if type(envelope.key) ~= "string" then
    envelope.key = nil
  end
end

local function on_internal(self, envelope, descriptor, ...)
  Receiver.drop(...)
  if type(envelope) == "table" and give_to_taker(self, envelope, descriptor) then
    return
  end
  local command = type(envelope) == "table" and commands[envelope.cmd]
  if command ~= commands.NODE_HANDLE then
    Receiver.drop(descriptor)
  end
  if command then
    drop_nonsense(envelope)
    command(self, envelope, descriptor)
  end
end

--- Gives the internal messages with this `cmd` to somebody else, with their
--- descriptor: his from then on, false where it did not get here. What is in
--- them is the peer's word.
---@param cmd string begins with NODE_
---@param fn fun(envelope: table, descriptor: integer|false|nil)
function Channel:on_command(cmd, fn)
  self._takers[cmd] = fn
end

--- Tells the peer's runtime something at once: a table whose `cmd` begins with
--- NODE_. One that asks and asks, and reads nothing, is not answered without end.
--- A descriptor goes only with NODE_HANDLE and with what has `descriptor = true`.
---@param envelope table
---@param descriptor? integer stays open until the peer has it
---@return integer? offset behind it; nil where it can't be sent
function Channel:tell(envelope, descriptor)
  local offset = self._core:pending() <= self._sender.max_backlog and self._core:send(envelope, true, descriptor)
  return offset or nil
end

--- Calls `fn` once the kernel has taken all up to an offset, or never will.
---@param offset integer
---@param fn fun(err: mw.Error?)
function Channel:when_sent(offset, fn)
  self._sender:when_sent(offset, fn)
end

--- The same behind all messages that were sent before.
---@param envelope table
function Channel:tell_in_turn(envelope)
  self._sender:tell_in_turn(envelope)
end

--- Brings out at once what waits, as far as the kernel takes it.
function Channel:flush()
  self._core:drain(0)
end

--- Whether the kernel has taken all up to an offset.
---@param offset integer
---@return boolean
function Channel:has_sent(offset)
  return offset <= self._core:sent()
end

-- Life ----------------------------------------------------------------------

local function on_end(self, failure)
  self._disconnecting, self._ended = true, true
  self.on_disconnecting()
  self._core:close()
  -- A peer that speaks nonsense must not end those who don't care.
  if failure and self.owner:listener_count "error" > 0 then
    self.owner:emit("error", errors.system(failure, "read from the channel"))
  end
end

local function on_closed(self)
  open_channels[self] = nil
  self._sender:close(closed_error())
  if self.socket_lists then
    self.socket_lists:close()
  end
  self.on_close()
end

local function callbacks_of(self)
  return {
    on_message = function(value, descriptor, ...)
      Receiver.drop(...)
      self._receiver:message(value, descriptor)
    end,
    on_internal = function(...)
      on_internal(self, ...)
    end,
    on_sent = function(offset)
      self._sender:settle(offset)
      close_if_sent(self)
    end,
    -- The peer does not read any more; what it still sends is welcome.
    on_broken = function(failure)
      self._sender:close(errors.system(failure, "send on the channel"))
      close_if_sent(self)
    end,
    on_end = function(failure)
      on_end(self, failure)
    end,
    on_closed = function()
      on_closed(self)
    end,
  }
end

-- Begins to send and to receive, with nothing left of what was before but what
-- has come.
local function connect(self, descriptor, max_backlog, unread)
  self._sender = Sender.new(self, max_backlog)
  local serialization = self.as_text and "json" or "msgpack"
  self._core = assert(core.open(descriptor, serialization, callbacks_of(self), self._sender))
  if unread then
    assert(self._core:preload(unread))
  end
  self._sender:start(self._core)
  self._receiver = Receiver.new(self, self._core, self._receiver)
  self.post = self._core:poster()
  open_channels[self] = true
end

--- Opens the end that a descriptor is. `unread` comes before all that is read
--- from it.
---@param descriptor integer the channel's from then on
---@param owner mw.Emitter
---@param opts? { serialization?: "msgpack"|"json", max_backlog?: integer, exit_flush_timeout?: integer, unread?: string }
---@return mw.Channel
function Channel.open(descriptor, owner, opts)
  opts = opts or {}
  local self = setmetatable({ owner = owner, _takers = {}, _flush_timeout = opts.exit_flush_timeout }, Channel)
  self.as_text = opts.serialization == "json"
  connect(self, descriptor, opts.max_backlog, opts.unread)
  return self
end

--- Goes on over another connection, once the one before is over.
---@param descriptor integer the channel's from then on
function Channel:reopen(descriptor)
  self._disconnecting, self._ended, self.socket_lists = nil, nil, nil
  connect(self, descriptor, self._sender.max_backlog)
  set_referenced(self)
end

--- Whether it was the peer who has ended it, by its own end perhaps.
---@return boolean
function Channel:is_cut()
  return self._ended == true
end

--- Sends a message for an owner whose channel is `self`, nil once it is closed.
--- Returns false where the peer lags behind (advice only), or where nothing
--- can be sent: then the callback gets the error, or the owner emits it.
---@param self mw.Channel?
---@param owner mw.Emitter
---@param message any
---@param handle any
---@param opts any
---@param fn any
---@return boolean
function Channel.send(self, owner, message, handle, opts, fn)
  handle, opts, fn = Sender.check(message, handle, opts, fn)
  if self and not self._disconnecting then
    local keeps_up = self._sender:send(message, handle, opts, fn)
    if handle ~= nil then
      set_referenced(self)
    end
    return keeps_up
  elseif self and not self._ended then
    return self._sender:refuse(closed_error(), fn)
  elseif fn then
    tick.add(fn, closed_error())
  else
    tick.add(owner.emit, owner, "error", closed_error())
  end
  return false
end

--- Tells that listeners of `message` have come or gone.
function Channel:listeners_changed()
  self._receiver:listeners_changed()
end

--- Takes all that is still to come, listener or not: the peer has ended.
function Channel:read_to_end()
  self._receiver:read_to_end()
end

--- Closes the channel once all that was sent has gone out, and the peer has
--- every handle.
---@return true
function Channel:disconnect()
  self._disconnecting = true
  self._receiver:acknowledge()
  self._sender:finish()
  self.on_disconnecting()
  tick.add(close_if_sent, self)
  return true
end

---@class mw.ChannelHeritage options of open(), for the next image of this process
---@field fd integer
---@field unread string? the beginning of a message
---@field serialization "msgpack"|"json"
---@field max_backlog integer

--- Whether all that was sent has gone out and all that has come was told: what
--- is left is the kernel's, or the beginning of a message.
---@return boolean
function Channel:is_quiet()
  return not self._disconnecting
    and self._sender:is_over()
    and self._receiver:is_quiet()
    and self._core:unread() ~= nil
end

--- What goes on with it needs, where it is quiet.
---@return mw.ChannelHeritage
function Channel:heritage()
  local unread = self._core:unread()
  return {
    fd = self._core:fileno(),
    unread = unread ~= "" and unread or nil,
    serialization = self.as_text and "json" or "msgpack",
    max_backlog = self._sender.max_backlog,
  }
end

--- The variables that tell a child about its end.
---@param descriptor integer the child's
---@param opts { serialization?: "msgpack"|"json", exit_flush_timeout?: integer }
---@return table<string, string|false> false: not to be set
function Channel.variables(descriptor, opts)
  if opts.serialization == "json" then
    return { NODE_CHANNEL_FD = tostring(descriptor), NODE_CHANNEL_SERIALIZATION_MODE = "json", MW_CHANNEL_FD = false }
  end
  local timeout = opts.exit_flush_timeout
  return {
    MW_CHANNEL_FD = tostring(descriptor),
    MW_EXIT_FLUSH_TIMEOUT = timeout and ("%d"):format(timeout) or false,
    NODE_CHANNEL_FD = false,
    NODE_CHANNEL_SERIALIZATION_MODE = false,
  }
end

--- The variables by which the next image of this process finds its own end, as
--- we have found it.
---@return table<string, string|false>
function Channel:variables_of_heir()
  local from = self:heritage()
  from.exit_flush_timeout = exit.flush_timeout
  return Channel.variables(from.fd, from)
end

--- Lets the channel keep the loop alive, whoever listens.
function Channel:ref()
  self._by_hand = "ref"
  self._core:ref()
end

--- Lets the loop end although the channel is open.
function Channel:unref()
  self._by_hand = "unref"
  self._core:unref()
end

--- The same by itself, as listeners come and go: not after a ref() or unref().
---@param referenced boolean
function Channel:follow(referenced)
  self._is_followed = referenced
  set_referenced(self)
end

exit.add_flusher(function(timeout)
  local start = system.hrtime()
  for self in pairs(open_channels) do
    self._receiver:acknowledge()
    self._sender:release_all()
    local deadline = start + (self._flush_timeout or timeout) * 1000000
    self._core:drain(math.max(0, (deadline - system.hrtime()) // 1000000))
  end
end)

return Channel
