-- What goes out on a channel: messages, in order, each with its handle, and the
-- callbacks of those who sent them.

local Callbacks = require "mw.ipc.callbacks"
local Held = require "mw.ipc.held"
local Transfers = require "mw.ipc.transfers"
local errors = require "mw.error"
local late = require "mw.ipc.late"
local options = require "mw.options"
local tick = require "mw.tick"

local default_max_backlog = 256 * 1024 * 1024

---@class mw.Sender
---@field max_backlog integer bytes that may wait
local Sender = {
  --- Beyond this many unsent bytes `send` advises to wait. (Node: the same.)
  high_water_mark = 128 * 1024,
}
Sender.__index = Sender

local function drop_parcel(parcel)
  late.handle().drop(parcel)
end

--- Makes the sending side of a channel, which gets its engine by start().
---@param channel mw.Channel
---@param max_backlog? integer
---@return mw.Sender
function Sender.new(channel, max_backlog)
  return setmetatable({
    max_backlog = max_backlog or default_max_backlog,
    _channel = channel,
    _owner = channel.owner,
    _sent = 0,
    _behind = 0,
    _callbacks = Callbacks.new(),
    _transfers = Transfers.new(channel, drop_parcel),
    _held = Held.new(drop_parcel),
  }, Sender)
end

---@param core userdata of mw.core.channel
function Sender:start(core)
  self._core = core
end

--- Whether a handle is under way, or something waits behind one.
---@return boolean
function Sender:is_busy()
  return not self._transfers:is_empty() or not self._held:is_empty()
end

--- Whether all has gone out, and the peer has every handle.
---@return boolean
function Sender:is_over()
  return self._core:pending() == 0 and not self:is_busy()
end

--- Takes no more: what was taken still goes out.
function Sender:finish()
  self._finished = true
  self._core:allow_posting(false)
  self._core:want_sent(true)
end

local function want_callbacks(self)
  self._core:want_sent(self._finished or not self._callbacks:is_empty())
end

--- Calls back those whose messages are the kernel's.
---@param offset? integer so many bytes are, where that is new
function Sender:settle(offset)
  self._sent = offset or self._sent
  self._callbacks:sent(self._sent)
  want_callbacks(self)
end

--- Nothing goes out any more: calls back all that are left.
---@param err mw.Error
function Sender:close(err)
  self._transfers:close()
  self._held:close()
  self._callbacks:close(self._sent, err)
end

-- Sending -------------------------------------------------------------------

local function is_full(self)
  return self._core:pending() + self._held.bytes > self.max_backlog
end

local function queue(self, value, internal, descriptor)
  local offset, pending, problem = self._core:send(value, internal, descriptor)
  if problem then
    return nil, nil, problem
  elseif not offset then
    return nil, errors.system(pending, "send on the channel")
  end
  return offset, pending
end

-- Sends the message around the handle, and keeps the handle until it is there.
local function queue_handle(self, message, parcel, callback)
  local envelope = parcel.fields
  envelope.cmd, envelope.msg, envelope.number = "NODE_HANDLE", message, self._transfers:next_number()
  local offset, pending, problem = queue(self, envelope, true, parcel.fd)
  if not offset then
    drop_parcel(parcel)
    return nil, pending, problem and problem:gsub("message%.msg", "message", 1)
  end
  self._core:allow_posting(false)
  self._transfers:add { envelope = envelope, parcel = parcel, callback = callback, offset = offset }
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
    drop_parcel(parcel)
  end
  return nil, nil, problem
end

local function must_wait(self)
  return self._channel.as_text and self:is_busy()
end

-- Puts a message where it has to wait; a socket that goes with it is ours no more.
local function put(self, message, handle, opts, callback)
  local parcel, code
  if handle ~= nil then
    parcel, code = late.handle().pack(handle, opts and opts.keep_open, self._channel)
  end
  if code then
    return nil, errors.system(code, "send on the channel")
  end
  local way = must_wait(self) and hold or queue_any
  local offset, pending, problem = way(self, message, parcel, callback)
  if offset and parcel then
    late.handle().give(parcel)
  end
  return offset, pending, problem
end

--- Tells of a failure in its turn: behind the callbacks of what was sent before.
---@param err mw.Error
---@param fn? fun(err: mw.Error?)
---@return false
function Sender:refuse(err, fn)
  if fn then
    self._callbacks:add { fn = fn, err = err }
    self:settle()
  else
    tick.add(self._owner.emit, self._owner, "error", err)
  end
  return false
end

-- Node's advice for what is sent behind a handle that is under way: the first
-- may be followed by more, the others not.
local function keeps_up(self, pending, was_busy)
  self._behind = was_busy and self._behind + 1 or 0
  return pending < self.high_water_mark and self._behind <= 1
end

local send_options = { keep_open = options.boolean }

--- Checks what send() was called with; the values in between may be left out.
---@param message any
---@param handle any
---@param opts any
---@param fn any
---@return any handle
---@return table? opts
---@return function? fn
function Sender.check(message, handle, opts, fn)
  if message == nil then
    errors.misuse "send: bad argument 'message' (value expected, got nil; mw.null can be sent) (ERR_MISSING_ARGS)"
  end
  if type(handle) == "function" then
    handle, opts, fn = nil, nil, handle
  elseif type(opts) == "function" then
    opts, fn = nil, opts
  end
  options.optional("send", "options", opts, options.table)
  if opts then
    options.check("send", opts, send_options)
  end
  options.optional("send", "callback", fn, options.callback)
  if handle ~= nil and not late.handle().type_of(handle) then
    errors.misuse("send: bad argument 'handle' (this can't be sent: %s) (ERR_INVALID_HANDLE_TYPE)", options.show(handle))
  end
  return handle, opts, fn
end

--- Sends a message with a handle, options and a callback that were checked.
--- Returns whether the peer keeps up; false where it can't be sent: then the
--- callback gets the error, or the owner emits it. Raises for what can't be
--- encoded.
---@param message any
---@param handle any
---@param opts? { keep_open?: boolean }
---@param fn? fun(err: mw.Error?)
---@return boolean
function Sender:send(message, handle, opts, fn)
  if is_full(self) then
    return self:refuse(errors.system("ENOBUFS", "send on the channel"), fn)
  end
  local was_busy = self:is_busy()
  local callback = fn and { fn = fn }
  local offset, pending, problem = put(self, message, handle, opts, callback)
  if problem then
    errors.misuse("send: %s", problem)
  elseif not offset then
    return self:refuse(pending, fn)
  elseif callback then
    callback.offset = offset
    self._callbacks:add(callback)
    self._core:want_sent(true)
  end
  return keeps_up(self, pending, was_busy)
end

--- Calls `fn` once the kernel has taken all up to an offset, or never will.
---@param offset integer
---@param fn fun(err: mw.Error?)
function Sender:when_sent(offset, fn)
  self._callbacks:add { fn = fn, offset = offset }
  self._core:want_sent(true)
end

--- Tells the peer's runtime something behind all that was sent before.
---@param envelope table
function Sender:tell_in_turn(envelope)
  if must_wait(self) then
    hold(self, envelope)
  else
    self._channel:tell(envelope)
  end
end

-- Answers -------------------------------------------------------------------

local function release_next(self)
  local message, parcel, callback = self._held:take()
  local offset, err = queue_any(self, message, parcel, callback)
  if callback then
    callback.offset, callback.err = offset, not offset and err or nil
  elseif not offset then
    tick.add(self._owner.emit, self._owner, "error", err)
  end
end

local function after_answer(self)
  while self._transfers:is_empty() and not self._held:is_empty() do
    release_next(self)
  end
  if not self:is_busy() then
    self._core:allow_posting(not self._finished)
  end
  self:settle()
end

--- The peer has the handles with these numbers; without numbers the oldest one.
---@param first integer?
---@param last integer?
function Sender:acknowledged(first, last)
  self._transfers:acknowledged(first, last)
  after_answer(self)
end

--- A handle did not get there.
---@param number integer?
function Sender:refused(number)
  self._transfers:refused(number)
  after_answer(self)
end

--- Sends what is held back: nobody is left who could wait for an answer.
function Sender:release_all()
  while not self._held:is_empty() do
    release_next(self)
  end
end

return Sender
