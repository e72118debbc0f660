-- Standard input as a stream. The descriptor is shared with whoever started
-- us and with children that inherit it, so it stays as it is, blocking: the
-- loop only tells when there is something to read.

local Readable = require "mw.stream.readable"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local timers = require "mw.timers"
local uv = require "luv"

---@class mw.StandardInput: mw.Readable
local StandardInput = emitter.class("mw.process.stdin", Readable)

local function read_once(self)
  local data, code = fd.read(self.fd, 65536)
  if data then
    return self:push(data ~= "" and data or nil)
  elseif code ~= "EAGAIN" and code ~= "EINTR" then
    self:destroy(errors.system(code, "read stdin"))
  end
  return not self.destroyed
end

local function stop(self)
  if self._poll then
    self._poll:stop()
  end
end

-- Files are always ready, and epoll refuses them: one piece a turn.
local function read_file(self)
  self._next_read = timers.set_immediate(function()
    if read_once(self) then
      read_file(self)
    end
  end)
end

function StandardInput:_read()
  if not self._poll and not self._is_file then
    self._poll = uv.new_poll(self.fd)
    self._is_file = not self._poll
    fd.set_nonblocking(self.fd, false)
  end
  if self._is_file then
    return read_file(self)
  end
  self._poll:start("r", function()
    if not read_once(self) then
      stop(self)
    end
  end)
end

function StandardInput:_destroy(done)
  timers.clear_immediate(self._next_read)
  if self._poll then
    self._poll:close()
    self._poll = nil
  end
  done()
end

function StandardInput:pause()
  stop(self)
  self._reading = false
  return Readable.pause(self)
end

--- Lets reading keep the loop alive, as it does from the start.
---@return mw.StandardInput self
function StandardInput:ref()
  if self._poll then
    self._poll:ref()
  end
  return self
end

--- Lets the loop end although standard input is being read.
---@return mw.StandardInput self
function StandardInput:unref()
  if self._poll then
    self._poll:unref()
  end
  return self
end

---@return mw.StandardInput
local function new()
  local self = setmetatable({ fd = 0 }, StandardInput)
  self.is_tty = fd.kind(0) == "tty"
  self:_init_readable()
  return self
end

return { new = new }
