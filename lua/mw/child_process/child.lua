-- The object for a child process. (https://nodejs.org/api/child_process.html)

local Channel = require "mw.ipc.channel"
local core = require "mw.core.process"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local signals = require "mw.process.signals"
local task = require "mw.task"
local timers = require "mw.timers"

---@class mw.Child: mw.Emitter
---@field pid integer? nil where it could not be started
---@field stdin mw.HandleStream?
---@field stdout mw.HandleStream?
---@field stderr mw.HandleStream?
---@field stdio table<integer, mw.HandleStream>? by descriptor number; nil where there were no descriptors left
---@field channel mw.Channel? the channel, as long as it is open
---@field connected boolean whether messages can be sent
---@field is_stranger boolean? whether it is another's child, so that nobody tells us how it has ended
---@field killed boolean whether kill() has sent a signal
---@field exit_code integer? nil while it runs, or where a signal ended it
---@field signal_code string? the signal that ended it
---@field spawn_file string what was really run
---@field spawn_args string[] its arguments, with argv[0]
---@field destroyed boolean? whether it has closed
---@field errored mw.Error? why it could not be started
local Child = emitter.class "mw.child"

--- Makes the object, for a process that is not started yet.
---@param file string
---@param argv string[]
---@return mw.Child
function Child.new(file, argv)
  return setmetatable({
    connected = false,
    killed = false,
    spawn_file = file,
    spawn_args = argv,
    _past = {},
  }, Child)
end

--- Takes the streams on our ends of its pipes.
---@param streams table<integer, mw.HandleStream>
function Child:_set_streams(streams)
  self.stdio = streams
  self.stdin, self.stdout, self.stderr = streams[0], streams[1], streams[2]
end

--- Opens the channel over our end of it.
---@param descriptor integer the channel's from then on
---@param opts table serialization, max_backlog
function Child:_open_channel(descriptor, opts)
  local channel = Channel.open(descriptor, self, opts)
  channel:ref()
  self.channel, self.connected, self._messages = channel, true, channel
  self._post = channel.post
  function channel.on_disconnecting()
    self.connected = false
  end
  function channel.on_close()
    self.connected, self.channel = false, nil
    self:emit "disconnect"
    self:_part_closed()
  end
end

function Child:_listening_changed(event)
  if event == "message" and self._messages then
    self._messages:listeners_changed()
  end
end

--- Sends a message to the child; it arrives, in order. Returns false where the
--- child lags behind, which is advice only, or where nothing can be sent: then
--- the callback gets the error, or `error` is emitted. Raises, naming the
--- place, for what can't be sent. A socket or `process.fd` that goes with it is
--- closed here once the child has it, unless `keep_open` is set.
---@param message any not nil
---@param handle? mw.Server|mw.Socket|mw.DgramSocket|mw.Descriptor|userdata may be left out, as options may
---@param opts? { keep_open?: boolean }
---@param callback? fun(err: mw.Error?) once it has gone out; with a handle, once the child has that
---@return boolean
function Child:send(message, handle, opts, callback)
  if handle == nil and opts == nil and callback == nil and self._post then
    local keeps_up = self._post(message)
    if keeps_up ~= nil then
      return keeps_up
    end
  end
  return Channel.send(self.channel, self, message, handle, opts, callback)
end

-- Emits what comes once and is remembered for who waits for it later.
local function emit_once(self, event, ...)
  self._past[event] = table.pack(...)
  self:emit(event, ...)
end

-- `close` comes once the process and everything between it and us has ended.
function Child:_part_closed()
  self._open_parts = self._open_parts and self._open_parts - 1
  if self._open_parts == 0 then
    self.destroyed = true
    emit_once(self, "close", self.exit_code, self.signal_code)
  end
end

-- What a wait for an event that has come, or can't come any more, is answered.
local function past_values(self, event)
  local values = self._past[event]
  if values and values.n == 0 then
    return table.pack(true)
  elseif not values and self.errored and event ~= "close" then
    return table.pack(nil, self.errored)
  end
  return values
end

--- Waits for an event, as every emitter does. `spawn`, `exit` and `close` come
--- once: where that was before, its values are returned at once.
---@param event any
---@param timeout? number milliseconds; no limit where absent
---@return any ...
function Child:wait(event, timeout)
  local values = past_values(self, event)
  if not values then
    return emitter.Emitter.wait(self, event, timeout)
  end
  return task.await(("the event '%s'"):format(event), function(done)
    done(table.unpack(values, 1, values.n))
  end)
end

--- Tells that the process runs, and begins to read what it writes: a buffer's
--- worth, so that it can go on although nobody listens.
function Child:_started()
  emit_once(self, "spawn")
  for _, stream in pairs(self.stdio) do
    if stream.readable_side then
      stream:_read_ahead()
    end
  end
end

local function stop_watching(self)
  timers.clear_timeout(self._timer)
  self._timer = nil
  if self._token then
    self._token:off("abort", self._on_abort)
    self._token = nil
  end
end

-- Counts what is still open, and reads it to its end.
local function close_parts(self)
  local open = {}
  for number, stream in pairs(self.stdio or {}) do
    if number > 0 and stream.readable_side then
      open[#open + 1] = stream
    end
  end
  self._open_parts = 1 + #open + (self.channel and 1 or 0)
  for _, stream in ipairs(open) do
    stream:_read_to_end(function()
      if stream.writable_side then
        stream:finish()
      end
      -- What it still has to tell a reader is told in this turn.
      timers.set_immediate(self._part_closed, self)
    end)
  end
  self:_part_closed()
end

-- The process has ended, or has never been: `err` says why.
function Child:_ended(code, signal, err)
  self._process = nil
  stop_watching(self)
  self.exit_code, self.signal_code = code, signal
  if self.stdin then
    self.stdin:destroy()
  end
  if self.channel then
    self.channel:read_to_end()
  end
  if err then
    self.errored = err
    self:emit("error", err)
  else
    emit_once(self, "exit", code, signal)
  end
  close_parts(self)
end

--- Sends a signal; 0 only asks whether the process is there. Returns false
--- where it has ended.
---@param signal? string|integer "SIGTERM" where absent
---@return boolean
function Child:kill(signal)
  local number = signals.number("kill", signal == nil and "SIGTERM" or signal)
  if number ~= 0 and signals.check(number) then
    errors.misuse("kill: unknown signal %d (ERR_UNKNOWN_SIGNAL)", number)
  end
  if not self._process then
    return false
  end
  local ok, code = self._process:kill(number)
  if ok then
    self.killed = self.killed or number ~= 0
    return true
  elseif code ~= "ESRCH" then
    self:emit("error", errors.system(code, ("kill %d"):format(self.pid)))
  end
  return false
end

--- Sends a signal to the process and to all that descend from it. Returns
--- false where it has ended.
---@param signal? string|integer "SIGTERM" where absent
---@return boolean
function Child:kill_tree(signal)
  local number = signals.number("kill_tree", signal == nil and "SIGTERM" or signal)
  if signals.check(number) then
    errors.misuse("kill_tree: unknown signal %d (ERR_UNKNOWN_SIGNAL)", number)
  end
  if not self._process or not self._process:kill(0) then
    return false
  end
  local count, code = core.kill_tree(self.pid, number)
  if count then
    self.killed = true
    return true
  elseif code ~= "ESRCH" then
    self:emit("error", errors.system(code, ("kill %d"):format(self.pid)))
  end
  return false
end

--- Closes the channel, after all that was sent. Nil and ERR_IPC_DISCONNECTED
--- where there is none.
---@return true? ok
---@return mw.Error? err
function Child:disconnect()
  if not self.connected then
    return nil, errors.new("ERR_IPC_DISCONNECTED", "ERR_IPC_DISCONNECTED: the channel is closed already")
  end
  return self.channel:disconnect()
end

local function for_each_part(self, method)
  for _, part in pairs { self._process or false, self._timer or false, self.channel or false } do
    if part then
      part[method](part)
    end
  end
  for _, stream in pairs(self.stdio or {}) do
    stream[method](stream)
  end
  return self
end

--- Keeps the loop alive for the child and its pipes, as from the start.
---@return mw.Child self
function Child:ref()
  return for_each_part(self, "ref")
end

--- Lets the loop end although the child runs.
---@return mw.Child self
function Child:unref()
  return for_each_part(self, "unref")
end

--- Limits its time: after `ms` milliseconds `expire` is called.
---@param ms integer
---@param expire fun()
function Child:_limit_time(ms, expire)
  self._timer = timers.set_timeout(function()
    self._timer = nil
    expire()
  end, ms)
end

--- Watches an abort token as long as the process runs.
---@param token mw.AbortSignal
---@param signal integer
function Child:_watch_token(token, signal)
  self._token = token
  self._on_abort = function()
    self._token = nil
    token:off("abort", self._on_abort)
    if self:kill(signal) then
      self:emit("error", errors.aborted(token))
    end
  end
  token:on("abort", self._on_abort)
end

Child.__close = function(self)
  self:kill()
end

function Child:__tostring()
  return ("mw.child (%s, pid %s)"):format(self.spawn_file, self.pid or "none")
end

return Child
