-- Writable streams. (https://nodejs.org/api/stream.html#writable-streams)
--
-- A kind of stream puts in
--   _write(self, chunk, done)   take the chunk, then call done([err])
--   _final(self, done)          everything is taken: end, then call done([err])

local Base = require "mw.stream.base"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local loop = require "mw.core.loop"
local options = require "mw.options"
local tick = require "mw.tick"

---@class mw.Writable: mw.StreamBase
local Writable = emitter.class("mw.stream.writable", Base)

-- How a stream begins. What differs is in the object.
Writable.writable_high_water_mark = 65536
Writable._next, Writable._last = 1, 0 -- of those that wait
Writable._pending_bytes = 0
Writable._needs_drain = false
Writable._finishing = false -- finish() was called
Writable._finish_emitted = false

--- Prepares the writable side.
---@param high_water_mark? integer bytes that may wait before write says false; 65536 where absent
function Writable:_init_writable(high_water_mark)
  self.writable_side = true
  self.writable_high_water_mark = high_water_mark
  self._pending = {} -- {chunk, callback}; _write has the one that is _current
end

function Writable:_final(done)
  done()
end

local function failure(code, text)
  return errors.new(code, code .. ": " .. text)
end

-- Those who asked by finish(callback) learn it before the listeners do.
local function emit_finish(self)
  if self.destroyed then
    return
  end
  self._finish_emitted = true
  local callbacks = self._finish_callbacks or {}
  self._finish_callbacks = nil
  for _, callback in ipairs(callbacks) do
    local ok, err, traceback = loop.try(callback)
    if not ok then
      loop.uncaught(err, "uncaught_exception", traceback)
    end
  end
  self:emit "finish"
  self:_destroy_when_over()
end

local function finish_if_due(self)
  if not self._finishing or self._current or self._next <= self._last or self._final_called or self.destroyed then
    return
  end
  self._final_called = true
  self:_final(function(err)
    if err ~= nil then
      return self:destroy(err)
    end
    tick.add(emit_finish, self)
  end)
end

-- After a write that went well: `drain` first, then the one who wrote.
local function after_write(self, callback)
  if self._needs_drain and self._pending_bytes == 0 and not self._finishing and not self.destroyed then
    self._needs_drain = false
    self:emit "drain"
  end
  if callback then
    callback()
  end
end

local write_next

local function written(self, entry, err)
  self._current = nil
  self._pending_bytes = self._pending_bytes - #entry.chunk
  if err ~= nil then
    if entry.callback then
      tick.add(entry.callback, err)
    end
    self:destroy(err)
  elseif entry.callback or self._needs_drain then
    tick.add(after_write, self, entry.callback)
  end
end

-- One that is taken at once needs no turn of the loop.
local function hand_over(self, entry)
  local returned, answered = false, false
  self._current = entry
  self:_write(entry.chunk, function(err)
    if answered then
      self:destroy(failure("ERR_MULTIPLE_CALLBACK", "a write was answered twice"))
      return
    end
    answered = true
    if self._current ~= entry then
      return -- destroyed since, and told so
    end
    written(self, entry, err)
    if returned then
      write_next(self)
    end
  end)
  returned = true
end

function write_next(self)
  while not self._current and self._next <= self._last and not self.destroyed do
    local entry = self._pending[self._next]
    self._pending[self._next] = nil
    self._next = self._next + 1
    hand_over(self, entry)
  end
  finish_if_due(self)
end

-- Why nothing can be written any more; nil where it can.
local function refusal(self)
  if self._finishing then
    return failure("ERR_STREAM_WRITE_AFTER_END", "write after finish()")
  elseif self.destroyed then
    return failure("ERR_STREAM_DESTROYED", "write to a stream that was destroyed")
  end
end

--- Writes a chunk; `callback` gets nothing, or the error, once it is taken, and
--- is called exactly once. Returns false where as much as the high water mark
--- waits: then it is better to go on after `drain`; and where nothing can be
--- written any more. (Node: writable.write)
---@param chunk string|number
---@param callback? fun(err: any)
---@return boolean
function Writable:write(chunk, callback)
  if type(chunk) == "number" then
    chunk = tostring(chunk)
  end
  options.argument("write", "chunk", chunk, options.bytes)
  options.optional("write", "callback", callback, options.callback)
  local err = refusal(self)
  if err then
    if callback then
      tick.add(callback, err)
    end
    self:destroy(err)
    return false
  end
  self._last = self._last + 1
  self._pending[self._last] = { chunk = chunk, callback = callback }
  self._pending_bytes = self._pending_bytes + #chunk
  write_next(self)
  if self.destroyed then
    return false
  end
  local has_room = self._pending_bytes < self.writable_high_water_mark
  -- Whoever was told to wait is still waiting.
  self._needs_drain = self._needs_drain or not has_room
  return has_room
end

-- What a finish() that comes too late is told.
local function lateness(self)
  if self._finish_emitted then
    return failure("ERR_STREAM_ALREADY_FINISHED", "finish() of a stream that has finished")
  elseif self.destroyed then
    return self.errored or failure("ERR_STREAM_DESTROYED", "finish() of a stream that was destroyed")
  end
end

--- Writes a last chunk, where there is one, and ends the stream after all that
--- was written. `callback` runs just before `finish`, or gets the error that
--- prevented it. (Node: writable.end)
---@param chunk? string|number
---@param callback? fun(err: any)
---@return mw.Writable self
function Writable:finish(chunk, callback)
  if type(chunk) == "function" then
    chunk, callback = nil, chunk
  end
  options.optional("finish", "callback", callback, options.callback)
  if chunk ~= nil then
    self:write(chunk)
  end
  local err = lateness(self)
  if callback and err ~= nil then
    tick.add(callback, err)
  elseif callback then
    self._finish_callbacks = self._finish_callbacks or {}
    table.insert(self._finish_callbacks, callback)
  end
  if not self._finishing and not self.destroyed then
    self._finishing = true
    finish_if_due(self)
  end
  return self
end

--- How many bytes wait.
---@return integer
function Writable:writable_length()
  return self._pending_bytes
end

local function abandon(entry, err)
  if entry.callback then
    tick.add(entry.callback, err)
  end
end

function Writable:_abandon(err)
  local current = self._current
  self._current = nil
  if current then
    abandon(current, err)
  end
  if self._next <= self._last then
    for index = self._next, self._last do
      abandon(self._pending[index], err)
    end
    self._pending, self._next, self._last = {}, 1, 0
  end
  self._pending_bytes = nil
  if self._finish_callbacks then
    for _, callback in ipairs(self._finish_callbacks) do
      tick.add(callback, err)
    end
    self._finish_callbacks = nil
  end
end

return Writable
