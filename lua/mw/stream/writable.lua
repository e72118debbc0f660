-- Writable streams. (https://nodejs.org/api/stream.html#writable-streams)
--
-- A kind of stream puts in
--   _write(self, chunk, done)   take the chunk, then call done([err])
--   _final(self, done)          everything is taken: end, then call done([err])

local Base = require "mw.stream.base"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local options = require "mw.options"
local tick = require "mw.tick"

---@class mw.Writable: mw.StreamBase
local Writable = emitter.class("mw.stream.writable", Base)

--- Prepares the fields of the writable side.
---@param high_water_mark? integer bytes that may wait before write says false
function Writable:_init_writable(high_water_mark)
  self.writable_side = true
  self.writable_high_water_mark = high_water_mark or 65536
  self._pending, self._next, self._last = {}, 1, 0 -- {chunk, callback}
  self._pending_bytes = 0
  self._writing = false
  self._needs_drain = false
  self._finishing = false -- finish() was called
  self._finish_emitted = false
end

function Writable:_final(done)
  done()
end

local function report(self, callback, err)
  if callback then
    tick.add(callback, err)
  end
  if err ~= nil then
    self:destroy(err)
  end
end

local function finish_if_due(self)
  if not self._finishing or self._writing or self._next <= self._last or self._final_called or self.destroyed then
    return
  end
  self._final_called = true
  self:_final(function(err)
    if err ~= nil then
      return self:destroy(err)
    end
    tick.add(function()
      if not self.destroyed then
        self._finish_emitted = true
        self:emit "finish"
        self:_destroy_when_over()
      end
    end)
  end)
end

local function drain_if_due(self)
  if self._needs_drain and self._pending_bytes == 0 and not self._finishing then
    self._needs_drain = false
    tick.add(function()
      if not self.destroyed then
        self:emit "drain"
      end
    end)
  end
end

-- Hands over chunk after chunk; one that is taken at once needs no turn of
-- the loop.
local function write_next(self)
  while not self._writing and self._next <= self._last and not self.destroyed do
    local entry = self._pending[self._next]
    self._pending[self._next] = nil
    self._next = self._next + 1
    self._writing, self._current = true, entry
    local returned = false
    self:_write(entry.chunk, function(err)
      self._writing, self._current = false, nil
      self._pending_bytes = self._pending_bytes - #entry.chunk
      report(self, entry.callback, err)
      if returned then
        write_next(self)
      end
    end)
    returned = true
  end
  drain_if_due(self)
  finish_if_due(self)
end

local function refuse(self, callback, code, text)
  local err = errors.new(code, code .. ": " .. text)
  if callback then
    tick.add(callback, err)
  end
  if not self.destroyed then
    self:destroy(err)
  end
  return false
end

--- Writes a chunk; `callback` gets nothing, or the error, once it is taken.
--- Returns false where more than the high water mark waits: then it is better
--- to go on after `drain`.
---@param chunk string
---@param callback? fun(err: any)
---@return boolean
function Writable:write(chunk, callback)
  if type(chunk) == "number" then
    chunk = tostring(chunk)
  end
  options.argument("write", "chunk", chunk, options.bytes)
  options.optional("write", "callback", callback, options.callback)
  if self._finishing then
    return refuse(self, callback, "ERR_STREAM_WRITE_AFTER_END", "write after finish()")
  elseif self.destroyed then
    return refuse(self, callback, "ERR_STREAM_DESTROYED", "write to a stream that was destroyed")
  end
  self._last = self._last + 1
  self._pending[self._last] = { chunk = chunk, callback = callback }
  self._pending_bytes = self._pending_bytes + #chunk
  write_next(self)
  if self.destroyed then
    return false
  end
  self._needs_drain = self._pending_bytes >= self.writable_high_water_mark
  return not self._needs_drain
end

--- Writes a last chunk, where there is one, and ends the stream after all that
--- was written. `callback` runs at `finish`, or gets the error that prevented
--- it. (Node: end.)
---@param chunk? string
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
  if callback then
    if self._finish_emitted or self.destroyed then
      tick.add(callback, self.errored)
    else
      self._finish_callbacks = self._finish_callbacks or {}
      table.insert(self._finish_callbacks, callback)
    end
  end
  if not self._finishing and not self.destroyed then
    self._finishing = true
    self:once("finish", function()
      self:_tell_finish_callbacks()
    end)
    finish_if_due(self)
  end
  return self
end

function Writable:_tell_finish_callbacks(err)
  for _, callback in ipairs(self._finish_callbacks or {}) do
    tick.add(callback, err)
  end
  self._finish_callbacks = nil
end

--- How many bytes wait.
---@return integer
function Writable:writable_length()
  return self._pending_bytes
end

function Writable:_abandon(err)
  for index = self._next, self._last do
    local callback = self._pending[index].callback
    if callback then
      tick.add(callback, err)
    end
  end
  self._pending, self._next, self._last, self._pending_bytes = {}, 1, 0, 0
  self:_tell_finish_callbacks(err)
end

return Writable
