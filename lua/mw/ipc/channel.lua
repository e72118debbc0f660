-- One end of the channel between a process and its parent: messages both ways,
-- in order, with handles, none lost. Used by the child's object on one side and
-- by the process's own on the other; each is the channel's owner, an emitter.

local Callbacks = require "mw.ipc.callbacks"
local Held = require "mw.ipc.held"
local Inbox = require "mw.ipc.inbox"
local Transfers = require "mw.ipc.transfers"
local core = require "mw.core.channel"
local errors = require "mw.error"
local exit = require "mw.exit"
local fd = require "mw.core.fd"
local options = require "mw.options"
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

-- Beyond this many unsent bytes `send` advises to wait. (Node: the same.)
local high_water_mark = 128 * 1024

-- So many messages are kept for the first listener; then the sender waits.
local kept_for_a_listener = 10000

local default_max_backlog = 256 * 1024 * 1024

local open_channels = {}

local function closed_error()
  return errors.new("ERR_IPC_CHANNEL_CLOSED", "ERR_IPC_CHANNEL_CLOSED: the channel is closed")
end

-- Handles need modules that most processes with a channel never load.
local handle_module

local function handles()
  handle_module = handle_module or require "mw.ipc.handle"
  return handle_module
end

local function drop_parcel(parcel)
  handles().drop(parcel)
end

-- Callbacks -----------------------------------------------------------------

local function wait_for_callbacks(self)
  self._core:want_sent(self._disconnecting or not self._callbacks:is_empty())
end

-- Whether a handle is under way, or something waits behind one.
local function is_busy(self)
  return not self._transfers:is_empty() or not self._held:is_empty()
end

-- After disconnect(), once everything has gone out and every handle is there.
local function close_if_sent(self)
  if self._disconnecting and not self._ended and self._core:pending() == 0 and not is_busy(self) then
    self._callbacks:sent(math.huge)
    self._core:close()
  end
end

local function settle(self)
  self._callbacks:sent(self._sent)
  wait_for_callbacks(self)
  close_if_sent(self)
end

-- Who has sent a handle may have to send it again.
local function set_referenced(self)
  if not self._by_hand then
    local method = (self._is_followed or is_busy(self)) and "ref" or "unref"
    self._core[method](self._core)
  end
end

-- Messages in ---------------------------------------------------------------

-- Messages go straight to a listener that is alone, as long as none waits.
local function follow_listener(self)
  self._core:set_listener(self._inbox.count == 0 and self.owner:_only_listener "message" or nil)
end

local function arrive(self, arrival)
  local owner, inbox = self.owner, self._inbox
  if inbox.count == 0 and not arrival.lost and owner:listener_count "message" > 0 then
    owner:emit("message", arrival.value, arrival.open and arrival.open(arrival.fd))
    return
  end
  inbox:put(arrival)
  self._core:set_listener(nil)
  -- What waits behind a handle needs what is still to come.
  if inbox.count >= kept_for_a_listener and not inbox:is_held() and not self._last_words then
    self._core:read_stop()
  end
end

local function hand_out(self)
  self._inbox:hand_out()
  if self._inbox.count == 0 then
    follow_listener(self)
  end
  if self._inbox.count == 0 or self._inbox:is_held() then
    self._core:read_start()
  end
end

--- Tells that listeners have come or gone: what waits is for the first one.
function Channel:listeners_changed()
  follow_listener(self)
  if self._inbox.count > 0 and not self._handing_out and self.owner:listener_count "message" > 0 then
    self._handing_out = true
    tick.add(function()
      self._handing_out = false
      hand_out(self)
    end)
  end
end

--- Takes all that is still to come, listener or not: the peer has ended, and
--- its channel is to reach its end.
function Channel:read_to_end()
  self._last_words = true
  self._core:read_start()
end

-- A message that a program of any kind has sent together with a descriptor.
local function on_message(self, value, descriptor, ...)
  for _, other in ipairs { ... } do
    fd.close(other)
  end
  arrive(self, { value = value, fd = descriptor or nil, open = descriptor and handles().open_descriptor or nil })
end

-- Handles -------------------------------------------------------------------

-- What one process tells the other beside messages, by `cmd`.
local commands = {}

--- Tells the peer's runtime something at once: a table whose `cmd` begins with
--- NODE_. One that asks and asks, and reads nothing, is not answered without end.
---@param envelope table
---@param descriptor? integer stays open until the peer has it
---@return integer? offset behind it; nil where it can't be sent
function Channel:tell(envelope, descriptor)
  local offset = self._core:pending() <= self._max_backlog and self._core:send(envelope, true, descriptor)
  self._queued = offset or self._queued
  return offset or nil
end

--- Whether the kernel has taken all up to an offset, behind which nothing was
--- posted: as long as a handle is under way nothing is.
---@param offset integer
---@return boolean
function Channel:has_sent(offset)
  return offset <= self._queued - self._core:pending()
end

-- Without its descriptor it is refused, and comes again. Its place is kept where
-- it has a number; a peer that gives none (Node) sends nothing meanwhile. Where
-- the frame itself speaks of no descriptor, it is no handle.
function commands.NODE_HANDLE(self, envelope, descriptor)
  local number, inbox = envelope.number, self._inbox
  if descriptor == nil then
    return
  end
  self:tell({ cmd = descriptor and "NODE_HANDLE_ACK" or "NODE_HANDLE_NACK", number = number })
  if inbox:awaits(number) then
    if descriptor then
      inbox:found(number, descriptor)
      hand_out(self)
    end
  elseif descriptor or number ~= nil then
    arrive(self, {
      value = envelope.msg,
      fd = descriptor or nil,
      open = handles().opener(envelope, self),
      lost = not descriptor and number or nil,
    })
  end
end

function commands.NODE_HANDLE_LOST(self, envelope)
  if self._inbox:awaits(envelope.number) then
    self._inbox:found(envelope.number)
    hand_out(self)
  end
end

local release

local function after_answer(self)
  release(self)
  set_referenced(self)
  if not is_busy(self) then
    self._core:allow_posting(not self._disconnecting)
  end
  settle(self)
end

function commands.NODE_HANDLE_ACK(self, envelope)
  self._transfers:acknowledged(envelope.number)
  after_answer(self)
end

function commands.NODE_HANDLE_NACK(self, envelope)
  self._transfers:refused(envelope.number)
  after_answer(self)
end

-- Counts of connections.
local function on_socket_command(self, envelope)
  if envelope.key then
    local lists = handles().lists_of(self)
    lists.commands[envelope.cmd](lists, envelope.key, envelope)
  end
end

for _, command in ipairs { "GET_COUNT", "COUNT", "NOTIFY_CLOSE", "ALL_CLOSED" } do
  commands["NODE_SOCKET_" .. command] = on_socket_command
end

-- A peer may say anything: what is no number or key of ours is as good as none.
local function drop_nonsense(envelope)
  if math.type(envelope.number) ~= "integer" then
    envelope.number = nil
  end
  if type(envelope.key) ~= "string" then
    envelope.key = nil
  end
end

local function on_internal(self, envelope, descriptor, ...)
  for _, other in ipairs { ... } do
    fd.close(other)
  end
  local command = type(envelope) == "table" and commands[envelope.cmd]
  if descriptor and command ~= commands.NODE_HANDLE then
    fd.close(descriptor)
  end
  if command then
    drop_nonsense(envelope)
    command(self, envelope, descriptor)
  end
end

-- Life ----------------------------------------------------------------------

-- The peer does not read any more; what it still sends is welcome.
local function on_broken(self, failure)
  self._transfers:close()
  self._held:close()
  self._callbacks:close(self._sent, errors.system(failure, "send on the channel"))
  settle(self)
end

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
  self._transfers:close()
  self._held:close()
  if self.socket_lists then
    self.socket_lists:close()
  end
  self._callbacks:close(self._sent, closed_error())
  self.on_close()
end

local function callbacks_of(self)
  return {
    on_message = function(...)
      on_message(self, ...)
    end,
    on_internal = function(...)
      on_internal(self, ...)
    end,
    on_sent = function(offset)
      self._sent = offset
      settle(self)
    end,
    on_broken = function(failure)
      on_broken(self, failure)
    end,
    on_end = function(failure)
      on_end(self, failure)
    end,
    on_closed = function()
      on_closed(self)
    end,
  }
end

--- Opens the end that a descriptor is.
---@param descriptor integer the channel's from then on
---@param owner mw.Emitter
---@param opts? { serialization?: "msgpack"|"json", max_backlog?: integer, exit_flush_timeout?: integer }
---@return mw.Channel
function Channel.open(descriptor, owner, opts)
  opts = opts or {}
  local self = setmetatable({ owner = owner, _sent = 0, _queued = 0, _flush_timeout = opts.exit_flush_timeout }, Channel)
  local serialization = opts.serialization or "msgpack"
  self._max_backlog = opts.max_backlog or default_max_backlog
  self.as_text = serialization == "json"
  self._callbacks, self._inbox = Callbacks.new(), Inbox.new(owner)
  self._transfers, self._held, self._behind = Transfers.new(self, drop_parcel), Held.new(drop_parcel), 0
  local limits = { high_water_mark = high_water_mark, max_backlog = self._max_backlog }
  self._core = assert(core.open(descriptor, serialization, callbacks_of(self), limits))
  self.post = self._core:poster()
  open_channels[self] = true
  follow_listener(self)
  self._core:read_start()
  return self
end

-- Messages out --------------------------------------------------------------

local send_options = { keep_open = options.boolean }

-- ([handle][, options][, callback]) -> handle, options, callback
local function check_arguments(message, handle, opts, callback)
  if message == nil then
    errors.misuse "send: bad argument 'message' (value expected, got nil; mw.null can be sent) (ERR_MISSING_ARGS)"
  end
  if type(handle) == "function" then
    handle, opts, callback = nil, nil, handle
  elseif type(opts) == "function" then
    opts, callback = nil, opts
  end
  options.optional("send", "options", opts, options.table)
  if opts then
    options.check("send", opts, send_options)
  end
  options.optional("send", "callback", callback, options.callback)
  if handle ~= nil and not handles().type_of(handle) then
    errors.misuse("send: bad argument 'handle' (this can't be sent: %s) (ERR_INVALID_HANDLE_TYPE)", options.show(handle))
  end
  return handle, opts, callback
end

-- Tells of a failure in its turn: behind the callbacks of what was sent before.
local function refuse(self, owner, err, callback)
  if not callback then
    tick.add(owner.emit, owner, "error", err)
  elseif not self or self._ended then
    tick.add(callback, err)
  else
    self._callbacks:add { fn = callback, err = err }
    self._callbacks:sent(self._sent)
    wait_for_callbacks(self)
  end
  return false
end

local function is_full(self)
  return self._core:pending() + self._held.bytes > self._max_backlog
end

local function queue(self, value, internal, descriptor)
  local offset, pending, problem = self._core:send(value, internal, descriptor)
  if problem then
    return nil, nil, problem
  elseif not offset then
    return nil, errors.system(pending, "send on the channel")
  end
  self._queued = offset
  return offset, pending
end

-- Sends the message around the handle, and keeps the handle until it is there.
local function queue_handle(self, message, parcel, callback)
  local envelope = parcel.fields
  envelope.cmd, envelope.msg, envelope.number = "NODE_HANDLE", message, self._transfers:next_number()
  local offset, pending, problem = queue(self, envelope, true, parcel.fd)
  if not offset then
    handles().drop(parcel)
    return nil, pending, problem and problem:gsub("message%.msg", "message", 1)
  end
  self._core:allow_posting(false)
  self._transfers:add { envelope = envelope, parcel = parcel, callback = callback, offset = offset }
  set_referenced(self)
  if callback then
    callback.unacknowledged = true
  end
  return offset, pending
end

local function queue_any(self, message, parcel, callback)
  if parcel then
    return queue_handle(self, message, parcel, callback)
  end
  return queue(self, message, false)
end

-- The offset of what is held back is not known before it goes out.
local function hold(self, message, parcel, callback)
  local bytes, problem = self._held:add(message, parcel, callback)
  if bytes then
    return math.huge, self._core:pending() + self._held.bytes
  elseif parcel then
    handles().drop(parcel)
  end
  return nil, nil, problem
end

--- Tells the peer's runtime something behind all that was sent before.
---@param envelope table
function Channel:tell_in_turn(envelope)
  if self.as_text and is_busy(self) then
    hold(self, envelope)
  else
    self:tell(envelope)
  end
end

local function release_next(self)
  local message, parcel, callback = self._held:take()
  local offset, err = queue_any(self, message, parcel, callback)
  if callback then
    callback.offset, callback.err = offset, not offset and err or nil
  elseif not offset then
    tick.add(self.owner.emit, self.owner, "error", err)
  end
end

function release(self)
  while self._transfers:is_empty() and not self._held:is_empty() do
    release_next(self)
  end
end

local function pack(self, handle, opts)
  if handle ~= nil then
    return handles().pack(handle, opts and opts.keep_open, self)
  end
end

-- Node's advice for what is sent behind a handle that is under way: the first
-- may be followed by more, the others not.
local function keeps_up(self, pending, was_busy)
  self._behind = was_busy and self._behind + 1 or 0
  return pending < high_water_mark and self._behind <= 1
end

-- Puts a message where it has to wait; a socket that goes with it is ours no more.
local function put(self, message, handle, opts, callback)
  local parcel, code = pack(self, handle, opts)
  if code then
    return nil, errors.system(code, "send on the channel")
  end
  local way = self.as_text and is_busy(self) and hold or queue_any
  local offset, pending, problem = way(self, message, parcel, callback)
  if offset and parcel then
    handles().give(parcel)
  end
  return offset, pending, problem
end

local function send(self, message, handle, opts, fn)
  if is_full(self) then
    return refuse(self, self.owner, errors.system("ENOBUFS", "send on the channel"), fn)
  end
  local was_busy = is_busy(self)
  local callback = fn and { fn = fn }
  local offset, pending, problem = put(self, message, handle, opts, callback)
  if problem then
    errors.misuse("send: %s", problem)
  elseif not offset then
    return refuse(self, self.owner, pending, fn)
  elseif callback then
    callback.offset = offset
    self._callbacks:add(callback)
    self._core:want_sent(true)
  end
  return keeps_up(self, pending, was_busy)
end

--- Sends a message for an owner whose channel is `self`, nil once it is closed.
--- Returns false where the peer lags behind (advice only), or where nothing
--- can be sent: then the callback gets the error, or the owner emits it.
---@param self mw.Channel?
---@param owner mw.Emitter
---@param message any
---@param ... any
---@return boolean
function Channel.send(self, owner, message, ...)
  local handle, opts, callback = check_arguments(message, ...)
  if not self or self._disconnecting then
    return refuse(self, owner, closed_error(), callback)
  end
  return send(self, message, handle, opts, callback)
end

--- Closes the channel once all that was sent has gone out, and the peer has
--- every handle.
---@return true
function Channel:disconnect()
  self._disconnecting = true
  self._core:allow_posting(false)
  self.on_disconnecting()
  self._core:want_sent(true)
  tick.add(close_if_sent, self)
  return true
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

--- Lets the channel keep the loop alive, whoever listens.
function Channel:ref()
  self._by_hand = true
  self._core:ref()
end

--- Lets the loop end although the channel is open.
function Channel:unref()
  self._by_hand = true
  self._core:unref()
end

--- The same by itself, as listeners come and go: not after a ref() or unref().
---@param referenced boolean
function Channel:follow(referenced)
  self._is_followed = referenced
  set_referenced(self)
end

-- Nobody is left who could wait for an acknowledgement.
local function release_all(self)
  while not self._held:is_empty() do
    release_next(self)
  end
end

exit.add_flusher(function(timeout)
  local start = system.hrtime()
  for self in pairs(open_channels) do
    release_all(self)
    local deadline = start + (self._flush_timeout or timeout) * 1000000
    self._core:drain(math.max(0, (deadline - system.hrtime()) // 1000000))
  end
end)

return Channel
