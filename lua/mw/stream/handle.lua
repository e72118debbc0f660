-- Streams over a stream handle of luv: a pipe or a socket. The handle is the
-- stream's from then on. What goes one way only has the methods of that way.

local Duplex = require "mw.stream.duplex"
local Readable = require "mw.stream.readable"
local Writable = require "mw.stream.writable"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local exit = require "mw.exit"
local fd = require "mw.core.fd"

-- What all three kinds have.
---@class mw.HandleStream: mw.Duplex
local HandleStream = { _continuous = true }

-- Those that hold bytes which the kernel has not taken yet.
local unsent = {}

-- `how` is a method of the handle: "close" where absent.
local function close_handle(self, done, how)
  local handle = self._handle
  self._handle = nil
  unsent[self] = nil
  if handle and not handle:is_closing() then
    handle[how or "close"](handle, done)
  elseif done then
    done()
  end
end

local function on_read(self, err, chunk)
  if err then
    self._read_failed = true
    self:destroy(errors.from_luv(err, nil, "read"))
  elseif not chunk then
    self._handle:read_stop()
    self._started = false
    self._source_over = true
    if not self.writable_side or self._final_over then
      close_handle(self)
    end
    self:push(nil)
  elseif not self:_arrived(chunk) and self._started and self._handle then
    self._started = false
    self._handle:read_stop()
  end
end

--- Takes what was read; a kind of stream may count it. Returns whether more is
--- wanted now.
---@param chunk string
---@return boolean
function HandleStream:_arrived(chunk)
  return self:push(chunk)
end

function HandleStream:_read()
  if self._started or not self._handle then
    return
  elseif self._lent then
    -- For the child the descriptor was made blocking.
    self._lent = nil
    fd.set_nonblocking(self._handle:fileno(), true)
  end
  self._started = true
  self._on_read = self._on_read or function(err, chunk)
    if self._handle then
      on_read(self, err, chunk)
    end
  end
  local ok, text, code = self._handle:read_start(self._on_read)
  if not ok then
    self:destroy(errors.from_luv(text, code, "read"))
  end
end

function HandleStream:_write(chunk, done)
  local handle = self._handle
  local sent, text, code = handle:try_write(chunk)
  if not sent and code ~= "EAGAIN" then
    return done(errors.from_luv(text, code, "write"))
  end
  local rest = (sent or 0) > 0 and chunk:sub(sent + 1) or chunk
  if rest == "" then
    return done()
  end
  unsent[self], self._in_flight = true, rest
  local ok, write_text, write_code = handle:write(rest, function(err)
    unsent[self], self._in_flight = nil, nil
    done(err and errors.from_luv(err, nil, "write"))
  end)
  if not ok then
    unsent[self], self._in_flight = nil, nil
    done(errors.from_luv(write_text, write_code, "write"))
  end
end

function HandleStream:_final(done)
  if not self.readable_side then
    return close_handle(self, done)
  end
  local function over()
    self._final_over = true
    if self._source_over then
      close_handle(self)
    end
    done()
  end
  if not self._handle or not self._handle:shutdown(over) then
    over()
  end
end

function HandleStream:_destroy(done)
  close_handle(self, done)
end

HandleStream._close_handle = close_handle

--- Gives the handle away as it is, and does not use it any more. There must be
--- nothing that waits to be written.
---@return userdata handle
function HandleStream:_release_handle()
  local handle = self._handle
  if self._started then
    handle:read_stop()
    self._started = false
  end
  self._handle = nil
  return handle
end

--- Stops reading at once, for a child that the descriptor is lent to. What the
--- child leaves can be read after resume().
function HandleStream:_lend()
  if self._handle and self._started then
    self._handle:read_stop()
  end
  self._started, self._reading, self._lent = false, false, true
  if self.readable_side then
    self:pause()
  end
  if self._on_source_end then
    self:_on_source_end()
    self._on_source_end = nil
  end
end

-- Nobody may ever ask for a stream that was lent: it is closed once both who
-- wrote and who read have ended and nothing is left in it.
local function close_if_empty(self)
  if self._lent and self._source_gone and self._handle and fd.at_end(self._handle:fileno()) then
    on_read(self, nil, nil)
  end
end

--- The child that it was lent to has ended.
function HandleStream:_take_back()
  close_if_empty(self)
end

-- Nor does one that is lent read ahead.
function HandleStream:_read_ahead()
  if not self._lent then
    Readable._read_ahead(self)
  end
end

-- One that is lent is the business of the child that has it.
function HandleStream:_read_to_end(on_end)
  if not self._lent then
    return Readable._read_to_end(self, on_end)
  end
  self._source_gone = true
  close_if_empty(self)
  on_end()
end

--- Lets the stream keep the loop alive, as it does from the start.
---@return mw.HandleStream self
function HandleStream:ref()
  if self._handle then
    self._handle:ref()
  end
  return self
end

--- Lets the loop end although the stream is open.
---@return mw.HandleStream self
function HandleStream:unref()
  if self._handle then
    self._handle:unref()
  end
  return self
end

--- The descriptor; nil once it is closed.
---@return integer?
function HandleStream:fileno()
  return self._handle and self._handle:fileno()
end

-- What is left of the chunk that was begun.
local function rest_of_chunk(self)
  local left = self._in_flight and self._handle:get_write_queue_size() or 0
  return left > 0 and self._in_flight:sub(-left) or ""
end

--- All bytes that the kernel has not taken, in order.
---@return string
function HandleStream:_unwritten()
  if not self._in_flight and self._next > self._last then
    return ""
  end
  local pieces = { rest_of_chunk(self) }
  for index = self._next, self._last do
    pieces[#pieces + 1] = self._pending[index].chunk
  end
  return table.concat(pieces)
end

exit.add_flusher(function(timeout)
  local items = {}
  for self in pairs(unsent) do
    items[#items + 1] = { fd = self:fileno(), data = self:_unwritten() }
  end
  if #items > 0 then
    fd.drain(items, timeout)
  end
end)

local function class_over(name, parent)
  local class = emitter.class(name, parent)
  for key, value in pairs(HandleStream) do
    class[key] = value
  end
  return class
end

local Source = class_over("mw.stream.source", Readable)
local Sink = class_over("mw.stream.sink", Writable)
local Both = class_over("mw.stream.handle", Duplex)

-- The class of those that go both ways, for kinds of streams that add to it.
local M = { Duplex = Both }

--- Makes a stream over a luv handle that is open.
---@param handle userdata
---@param sides { readable?: boolean, writable?: boolean } one at least
---@return mw.HandleStream
function M.new(handle, sides)
  local class = not sides.writable and Source or not sides.readable and Sink or Both
  local self = setmetatable({ _handle = handle }, class)
  if sides.readable then
    self:_init_readable()
  end
  if sides.writable then
    self:_init_writable()
  end
  return self
end

return M
