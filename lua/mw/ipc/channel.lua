-- One end of the channel between a process and its parent: messages both ways,
-- in order, none lost. Used by the child's object on one side and by the
-- process's own on the other; each is the channel's owner, an emitter.

local core = require "mw.core.channel"
local errors = require "mw.error"
local exit = require "mw.exit"
local options = require "mw.options"
local tick = require "mw.tick"

---@class mw.Channel
---@field owner mw.Emitter gets `message` (value) and `disconnect`
---@field connected boolean whether messages can be sent
local Channel = { __name = "mw.channel" }
Channel.__index = Channel

-- Beyond this many unsent bytes `send` advises to wait. (Node: the same.)
local high_water_mark = 128 * 1024

-- So many messages are kept for the first listener; then the sender waits.
local kept_for_a_listener = 10000

local open_channels = {}

local function closed_error()
  return errors.new("ERR_IPC_CHANNEL_CLOSED", "ERR_IPC_CHANNEL_CLOSED: the channel is closed")
end

-- Tells the callbacks of all messages that the kernel has taken.
local function settle(self, offset, err)
  while self._first <= self._last and self._waiting[self._first].offset <= offset do
    local entry = self._waiting[self._first]
    self._waiting[self._first] = nil
    self._first = self._first + 1
    tick.add(entry.callback, err)
  end
  if self._first > self._last then
    self._first, self._last = 1, 0
    self._core:want_sent(false)
    if self._disconnecting and self._core:pending() == 0 then
      self._core:close()
    end
  end
end

local function deliver(self, value)
  if self._held or self.owner:listener_count "message" == 0 then
    self._held = self._held or {}
    table.insert(self._held, value)
    if #self._held == kept_for_a_listener then
      self._core:read_stop()
    end
    return
  end
  self.owner:emit("message", value)
end

--- Hands out what has come before there was a listener.
function Channel:release()
  if not self._held or self._releasing then
    return
  end
  self._releasing = true
  tick.add(function()
    self._releasing = false
    local held = self._held or {}
    local index = 1
    while held[index] ~= nil and self.owner:listener_count "message" > 0 do
      self.owner:emit("message", held[index])
      index = index + 1
    end
    self._held = held[index] ~= nil and table.move(held, index, #held, 1, {}) or nil
    if not self._held and not self._disconnecting then
      self._core:read_start()
    end
  end)
end

local function ended(self)
  self.connected = false
  self._core:close()
end

local function closed(self)
  open_channels[self] = nil
  self.connected = false
  settle(self, math.huge, closed_error())
  self.on_close()
end

--- Opens the end that a descriptor is.
---@param descriptor integer the channel's from then on
---@param serialization "msgpack"|"json"
---@param owner mw.Emitter
---@param on_close fun() called once, when the connection is over
---@return mw.Channel? channel
---@return string? code
function Channel.open(descriptor, serialization, owner, on_close)
  local self = setmetatable({ owner = owner, connected = true, on_close = on_close }, Channel)
  self._waiting, self._first, self._last = {}, 1, 0
  local handle, code = core.open(descriptor, serialization, {
    on_message = function(value)
      deliver(self, value)
    end,
    on_internal = function() end,
    on_sent = function(offset)
      settle(self, offset)
    end,
    on_end = function(failure)
      if failure then
        owner:emit("error", errors.system(failure, "read from the channel"))
      end
      ended(self)
    end,
    on_closed = function()
      closed(self)
    end,
  })
  if not handle then
    return nil, code
  end
  self._core = handle
  open_channels[self] = true
  handle:read_start()
  return self
end

local function refuse(self, err, callback)
  if callback then
    tick.add(callback, err)
  else
    tick.add(self.owner.emit, self.owner, "error", err)
  end
  return false
end

-- (message[, handle][, options][, callback])
local function take_arguments(message, handle, opts, callback)
  if message == nil then
    errors.misuse "send: bad argument 'message' (value expected, got nil; mw.null can be sent) (ERR_MISSING_ARGS)"
  end
  if type(handle) == "function" then
    handle, opts, callback = nil, nil, handle
  elseif type(opts) == "function" then
    opts, callback = nil, opts
  end
  options.optional("send", "options", opts, options.table)
  options.check("send", opts or {}, { keep_open = options.boolean })
  options.optional("send", "callback", callback, options.callback)
  if handle ~= nil then
    errors.misuse("send: bad argument 'handle' (this type can't be sent: %s) (ERR_INVALID_HANDLE_TYPE)", type(handle))
  end
  return callback
end

--- Sends a message. Returns false where the peer lags behind (advice only), or
--- where nothing can be sent: then `callback` gets the error, or the owner
--- emits it.
---@param message any
---@param ... any
---@return boolean
function Channel:send(message, ...)
  local callback = take_arguments(message, ...)
  if not self.connected then
    return refuse(self, closed_error(), callback)
  end
  local offset, pending, problem = self._core:send(message, false)
  if not offset then
    if problem then
      errors.misuse("send: %s", problem)
    end
    return refuse(self, errors.system(pending, "send on the channel"), callback)
  end
  if callback then
    self._last = self._last + 1
    self._waiting[self._last] = { offset = offset, callback = callback }
    self._core:want_sent(true)
  end
  return pending < high_water_mark
end

--- Closes the channel once all that was sent has gone out. Returns nil and
--- ERR_IPC_DISCONNECTED where it is closed already.
---@return true? ok
---@return mw.Error? err
function Channel:disconnect()
  if not self.connected then
    return nil, errors.new("ERR_IPC_DISCONNECTED", "ERR_IPC_DISCONNECTED: the channel is closed already")
  end
  self.connected, self._disconnecting = false, true
  tick.add(function()
    if self._core:pending() == 0 then
      self._core:close()
    else
      self._core:want_sent(true)
    end
  end)
  return true
end

--- Lets the channel keep the loop alive, whoever listens.
function Channel:ref()
  self._core:ref()
end

--- Lets the loop end although the channel is open.
function Channel:unref()
  self._core:unref()
end

exit.add_flusher(function(timeout)
  for self in pairs(open_channels) do
    self._core:drain(timeout)
  end
end)

return Channel
