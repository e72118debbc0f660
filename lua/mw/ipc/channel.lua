-- One end of the channel between a process and its parent: messages both ways,
-- in order, none lost. Used by the child's object on one side and by the
-- process's own on the other; each is the channel's owner, an emitter.

local core = require "mw.core.channel"
local errors = require "mw.error"
local exit = require "mw.exit"
local options = require "mw.options"
local system = require "mw.core.system"
local tick = require "mw.tick"

---@class mw.Channel
---@field owner mw.Emitter gets `message` (value) and `disconnect`
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
    self._core:want_sent(self._disconnecting or false)
  end
end

-- After disconnect(), once everything has gone out.
local function close_if_sent(self)
  if self._disconnecting and not self._ended and self._core:pending() == 0 then
    settle(self, math.huge)
    self._core:close()
  end
end

local function deliver(self, value)
  if self._held or self.owner:listener_count "message" == 0 then
    self._held = self._held or {}
    table.insert(self._held, value)
    if #self._held >= kept_for_a_listener and not self._last_words then
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

--- Takes all that is still to come, listener or not: the peer has ended, and
--- its channel is to reach its end.
function Channel:read_to_end()
  self._last_words = true
  self._core:read_start()
end

local function ended(self, failure)
  self._disconnecting, self._ended = true, true
  self.on_disconnecting()
  self._core:close()
  -- A peer that speaks nonsense must not end those who don't care.
  if failure and self.owner:listener_count "error" > 0 then
    self.owner:emit("error", errors.system(failure, "read from the channel"))
  end
end

local function closed(self)
  open_channels[self] = nil
  settle(self, math.huge, closed_error())
  self.on_close()
end

--- Opens the end that a descriptor is.
---@param descriptor integer the channel's from then on
---@param owner mw.Emitter
---@param opts? { serialization?: "msgpack"|"json", max_backlog?: integer }
---@return mw.Channel
function Channel.open(descriptor, owner, opts)
  local self = setmetatable({ owner = owner }, Channel)
  self._max_backlog = opts and opts.max_backlog or default_max_backlog
  self._waiting, self._first, self._last = {}, 1, 0
  self._core = assert(core.open(descriptor, opts and opts.serialization or "msgpack", {
    on_message = function(value)
      deliver(self, value)
    end,
    on_internal = function() end,
    on_sent = function(offset)
      settle(self, offset)
      close_if_sent(self)
    end,
    on_end = function(failure)
      ended(self, failure)
    end,
    on_closed = function()
      closed(self)
    end,
  }))
  open_channels[self] = true
  self._core:read_start()
  return self
end

-- (message[, handle][, options][, callback]) -> callback
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
  options.check("send", opts or {}, { keep_open = options.boolean })
  options.optional("send", "callback", callback, options.callback)
  if handle ~= nil then
    errors.misuse("send: bad argument 'handle' (this can't be sent: %s) (ERR_INVALID_HANDLE_TYPE)", options.show(handle))
  end
  return callback
end

local function refuse(owner, err, callback)
  if callback then
    tick.add(callback, err)
  else
    tick.add(owner.emit, owner, "error", err)
  end
  return false
end

local function queue(self, message)
  if self._core:pending() > self._max_backlog then
    return nil, errors.system("ENOBUFS", "send on the channel")
  end
  local offset, pending, problem = self._core:send(message, false)
  if problem then
    errors.misuse("send: %s", problem)
  elseif not offset then
    return nil, errors.system(pending, "send on the channel")
  end
  return offset, pending
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
  local callback = check_arguments(message, ...)
  if not self or self._disconnecting then
    return refuse(owner, closed_error(), callback)
  end
  local offset, pending = queue(self, message)
  if not offset then
    return refuse(owner, pending, callback)
  elseif callback then
    self._last = self._last + 1
    self._waiting[self._last] = { offset = offset, callback = callback }
    self._core:want_sent(true)
  end
  return pending < high_water_mark
end

--- Closes the channel once all that was sent has gone out.
---@return true
function Channel:disconnect()
  self._disconnecting = true
  self.on_disconnecting()
  self._core:want_sent(true)
  tick.add(close_if_sent, self)
  return true
end

--- The variables that tell a child about its end.
---@param descriptor integer the child's
---@param serialization? "msgpack"|"json"
---@param flush_timeout? integer how long its exit may take
---@return table<string, string|false> false: not to be set
function Channel.variables(descriptor, serialization, flush_timeout)
  if serialization == "json" then
    return { NODE_CHANNEL_FD = tostring(descriptor), NODE_CHANNEL_SERIALIZATION_MODE = "json", MW_CHANNEL_FD = false }
  end
  return {
    MW_CHANNEL_FD = tostring(descriptor),
    MW_EXIT_FLUSH_TIMEOUT = flush_timeout and ("%d"):format(flush_timeout) or false,
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
function Channel:_follow_listeners(referenced)
  if not self._by_hand then
    local method = referenced and "ref" or "unref"
    self._core[method](self._core)
  end
end

exit.add_flusher(function(timeout)
  local deadline = system.hrtime() + timeout * 1000000
  for self in pairs(open_channels) do
    self._core:drain(math.max(0, (deadline - system.hrtime()) // 1000000))
  end
end)

return Channel
