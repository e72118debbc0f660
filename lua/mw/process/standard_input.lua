-- Standard input as a stream. The descriptor is shared with whoever started
-- us and with children that inherit it, so its flags stay as they are: a
-- watcher of our own tells when there is something to read. Nothing is read
-- that nobody waits for, and only who waits keeps the loop alive.

local Readable = require "mw.stream.readable"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local start = require "mw.start"
local timers = require "mw.timers"
local uv = require "luv"

---@class mw.StandardInput: mw.Readable
---@field fd integer 0
---@field is_tty boolean whether it is a terminal
local StandardInput = emitter.class("mw.process.stdin", Readable)
StandardInput._continuous = true

-- Returns whether the source goes on. Where we were started without standard
-- input, it is at its end.
local function read_once(self)
  local data, code = fd.read(self.fd, 65536)
  if data or code == "EBADF" then
    return self:push(data ~= "" and data or nil)
  elseif code ~= "EAGAIN" and code ~= "EINTR" then
    self:destroy(errors.system(code, "read stdin"))
  end
  return not self.destroyed
end

function StandardInput:_rest()
  timers.clear_immediate(self._next_read)
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
  if self._unreferenced then
    self._next_read:unref()
  end
end

local function watch(self)
  self._watcher = fd.watch(self.fd)
  if not self._watcher then
    self._is_file = true
    return
  end
  self._poll = uv.new_poll(self._watcher)
  if self._unreferenced then
    self._poll:unref()
  end
end

function StandardInput:_read()
  if not self._poll and not self._is_file then
    watch(self)
  end
  if self._is_file then
    return read_file(self)
  end
  self._poll:start("r", function()
    if not read_once(self) then
      self:_rest()
    end
  end)
end

function StandardInput:_destroy(done)
  self:_rest()
  if self._poll then
    self._poll:close()
    fd.close(self._watcher)
    self._poll = nil
  end
  done()
end

--- Lets reading keep the loop alive, as it does from the start.
---@return mw.StandardInput self
function StandardInput:ref()
  self._unreferenced = nil
  for _, source in pairs { self._poll or nil, self._next_read } do
    source:ref()
  end
  return self
end

--- Lets the loop end although standard input is being read.
---@return mw.StandardInput self
function StandardInput:unref()
  self._unreferenced = true
  for _, source in pairs { self._poll or nil, self._next_read } do
    source:unref()
  end
  return self
end

---@return mw.StandardInput
local function new()
  local self = setmetatable({ fd = 0 }, StandardInput)
  start.run(function()
    self.is_tty = fd.kind(0) == "tty"
  end)
  self:_init_readable()
  return self
end

return { new = new }
