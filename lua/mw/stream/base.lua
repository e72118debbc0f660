-- What readable and writable streams share: being destroyed, and the events
-- `error` and `close` that follow. A kind of stream puts in
--   _destroy(self, done)   frees what it holds, then calls done([err])

local emitter = require "mw.emitter"
local errors = require "mw.error"
local tick = require "mw.tick"

---@class mw.StreamBase: mw.Emitter
---@field destroyed boolean
---@field closed boolean `close` has been emitted
local Base = emitter.class "mw.stream"

function Base:_destroy(done)
  done()
end

-- What waits in a subclass learns that the stream is gone.
function Base:_abandon() end

local function finish(self, err)
  tick.add(function()
    if err ~= nil then
      self:emit("error", err)
    end
    self.closed = true
    self:emit "close"
  end)
end

--- Ends the stream at once: what is buffered is dropped, `error` (where there
--- is one) and `close` follow. May be called twice.
---@param err? any
---@return mw.StreamBase self
function Base:destroy(err)
  if self.destroyed then
    return self
  end
  self.destroyed = true
  self.errored = err
  self:_abandon(err or errors.new("ERR_STREAM_DESTROYED", "ERR_STREAM_DESTROYED: the stream was destroyed"))
  self:_destroy(function(destroy_err)
    finish(self, err or destroy_err)
  end)
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
