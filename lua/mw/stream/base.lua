-- What readable and writable streams share: being destroyed, and the events
-- `error` and `close` that follow. A kind of stream puts in
--   _destroy(self, done, err)   frees what it holds, then calls done([err])
-- (https://nodejs.org/api/stream.html#writabledestroyerror)

local emitter = require "mw.emitter"
local errors = require "mw.error"
local tick = require "mw.tick"

---@class mw.StreamBase: mw.Emitter
---@field destroyed boolean? whether destroy() was called, or the stream is over
---@field closed boolean? whether `close` was emitted
---@field errored any what destroy() was given
local Base = emitter.class "mw.stream"

function Base:_destroy(done)
  done()
end

-- What waits in a subclass learns that the stream is gone.
function Base:_abandon() end

-- A kind of stream may tell more by it.
function Base:_emit_close()
  self:emit "close"
end

-- Whether somebody gets the error who is no listener.
function Base:_error_is_taken()
  return false
end

local function emit_close(self, err)
  if err ~= nil and not (self:listener_count "error" == 0 and self:_error_is_taken()) then
    self:emit("error", err)
  end
  self.closed = true
  self:_emit_close()
end

--- Ends the stream at once: what is buffered is dropped, what waits (reads,
--- callbacks of write and finish) gets the error, or ERR_STREAM_DESTROYED where
--- there is none; then `error`, where there is one, and `close` follow. May be
--- called twice.
---@param err? any
---@return mw.StreamBase self
function Base:destroy(err)
  if self.destroyed then
    return self
  end
  self.destroyed = true
  self.errored = err
  self:_abandon(err ~= nil and err or errors.new("ERR_STREAM_DESTROYED", "ERR_STREAM_DESTROYED: the stream was destroyed"))
  local is_done = false
  self:_destroy(function(destroy_err)
    if not is_done then
      is_done = true
      tick.add(emit_close, self, err == nil and destroy_err or err)
    end
  end, err)
  return self
end

-- A stream that has done all that it can goes by itself.
function Base:_destroy_when_over()
  local readable_over = self._end_emitted or not self.readable_side
  local writable_over = self._finish_emitted or not self.writable_side
  if readable_over and writable_over then
    self:destroy()
  end
end

Base.__close = function(self)
  self:destroy()
end

return Base
