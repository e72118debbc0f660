-- Readable streams. (https://nodejs.org/api/stream.html#readable-streams)
--
-- A kind of stream puts in
--   _read(self)   deliver: self:push(chunk) for what comes, self:push(nil) at the
--                 end. It is called again after a push, as long as more is wanted.
--   _rest(self)   may be absent: nobody waits for data now, and the source must
--                 not keep the loop alive until _read is called.
--   _continuous   true for a source that goes on by itself: _read is called again
--                 only once push has returned false, or after _rest.

local Base = require "mw.stream.base"
local Queue = require "mw.stream.queue"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local options = require "mw.options"
local task = require "mw.task"
local tick = require "mw.tick"
local utf8_decoder = require "mw.stream.utf8_decoder"

---@class mw.Readable: mw.StreamBase
local Readable = emitter.class("mw.stream.readable", Base)

-- What is kept at most for a reader who comes later, once the source is only
-- emptied so that it can end: `_keep_reading`.
local kept_for_a_reader = 1024 * 1024

-- How a stream begins. What differs is in the object, where also `_flowing` is:
-- true, false after pause(), nil before either.
Readable.high_water_mark = 65536
Readable._reading = false -- _read was called, and the source has not answered
Readable._ended = false -- the source has nothing more
Readable._end_emitted = false

--- Prepares the readable side.
---@param high_water_mark? integer bytes buffered before the source is stopped; 65536 where absent
function Readable:_init_readable(high_water_mark)
  self.readable_side = true
  self.high_water_mark = high_water_mark
  self._buffer = Queue.new()
  self._waiters = {}
end

local function end_is_due(self)
  return self._ended and self._buffer.length == 0 and not self._end_emitted and not self.destroyed
end

local function emit_end_later(self)
  if self._end_scheduled or not end_is_due(self) then
    return
  end
  self._end_scheduled = true
  tick.add(function()
    if end_is_due(self) then
      self._end_emitted = true
      self:emit "end"
      self:_destroy_when_over()
    end
  end)
end

-- Whether anybody is there to take what comes, now or after a pause.
local function has_reader(self)
  return self._was_read or self:listener_count "data" > 0
end

local function limit(self)
  if not self._keeping then
    return math.max(self.high_water_mark, self._line_limit or 0)
  end
  return has_reader(self) and kept_for_a_reader or math.huge
end

-- Whether the source must rest now.
local function must_rest(self)
  return self._rest and not self._flowing and #self._waiters == 0
end

local function rest_if_unwanted(self)
  if must_rest(self) then
    self._reading = false
    self:_rest()
  end
end

local function wants_more(self)
  return not self._ended and not self.destroyed and self._buffer.length < limit(self) and not must_rest(self)
end

local function read_more(self)
  if not self._reading and wants_more(self) then
    self._reading = true
    self:_read()
  end
end

-- In a turn of its own: a source may push at once, and for ever.
local function read_more_later(self)
  if not self._read_is_due then
    self._read_is_due = true
    tick.add(function()
      self._read_is_due = false
      read_more(self)
    end)
  end
end

local function wake_waiter(self)
  local waiter = table.remove(self._waiters, 1)
  if waiter then
    waiter()
  end
end

local function source_ended(self)
  local on_end = self._on_source_end
  self._on_source_end = nil
  if on_end then
    on_end(self)
  end
end

-- Only in a turn of its own does the flow begin.
local function flow_later(self)
  if not self._flow_is_due then
    self._flow_is_due = true
    tick.add(self._flow, self)
  end
end

local function push_end(self)
  local rest = self._decode and self._decode(nil) or ""
  if rest ~= "" then
    self._buffer:push(rest)
  end
  self._ended, self._reading = true, false
  while #self._waiters > 0 do
    wake_waiter(self)
  end
  if self._flowing then
    flow_later(self)
  end
  source_ended(self)
end

-- The beginning of a chunk, `room` bytes at most, and no part of a character
-- where there is an encoding.
local function beginning(self, chunk, room)
  if room >= #chunk then
    return chunk
  end
  while self._decode and room > 0 and chunk:byte(room + 1) & 0xC0 == 0x80 do
    room = room - 1
  end
  return chunk:sub(1, room)
end

-- Without a reader only a buffer's worth is kept of what a source that must
-- end still gives.
local function keep(self, chunk)
  if self._keeping and not has_reader(self) then
    chunk = beginning(self, chunk, math.max(0, self.high_water_mark - self._buffer.length))
  end
  if chunk ~= "" then
    self._buffer:push(chunk)
    wake_waiter(self)
  end
end

-- Gives a chunk to whoever takes it now, or keeps it.
local function deliver(self, chunk)
  if self._flow_is_due or not self._flowing or self._buffer.length > 0 or #self._waiters > 0 then
    keep(self, chunk)
    if self._flowing then
      flow_later(self)
    end
  elseif chunk ~= "" then
    self:emit("data", chunk)
  end
end

--- Takes a chunk from the source, nil at the end. Returns whether more is
--- wanted now: fewer bytes than the high water mark wait. (Node: readable.push)
---@param chunk string?
---@return boolean more
function Readable:push(chunk)
  if self._ended or self.destroyed then
    return false
  end
  if chunk == nil then
    push_end(self)
    return false
  end
  options.argument("push", "chunk", chunk, options.bytes)
  deliver(self, self._decode and self._decode(chunk) or chunk)
  rest_if_unwanted(self)
  local more = wants_more(self)
  self._reading = more and self._continuous or false
  if more and not self._continuous then
    read_more_later(self)
  end
  return more
end

function Readable:_flow()
  self._flow_is_due = false
  while self._flowing and not self.destroyed and self._buffer.length > 0 do
    self:emit("data", self._buffer:take_chunk())
  end
  if self._flowing then
    emit_end_later(self)
    read_more(self)
  end
end


function Readable:_listening_changed(event, count)
  if event == "data" and count > 0 and self._flowing == nil then
    self:resume()
  end
end

--- Lets `data` events come. A `data` listener does this too, unless pause()
--- was called.
---@return mw.Readable self
function Readable:resume()
  if not self._flowing and not self.destroyed then
    self._flowing = true
    flow_later(self)
  end
  return self
end

--- Holds `data` events back, and the source once the buffer is full.
---@return mw.Readable self
function Readable:pause()
  self._flowing = false
  rest_if_unwanted(self)
  return self
end

--- Whether pause() holds it back.
---@return boolean
function Readable:is_paused()
  return self._flowing == false
end

--- How many bytes wait in the buffer.
---@return integer
function Readable:readable_length()
  return self._buffer.length
end

--- With "utf8", no chunk ends within a character, unless the stream does; bytes
--- that are no UTF-8 stay as they are. nil gives bytes again.
---@param encoding "utf8"|"utf-8"|nil
---@return mw.Readable self
function Readable:set_encoding(encoding)
  if encoding ~= nil and encoding ~= "utf8" and encoding ~= "utf-8" then
    errors.misuse("set_encoding: bad argument 'encoding' ('utf8' or nil expected, got %s)", options.show(encoding))
  end
  self.encoding = encoding and "utf8"
  local kept = self._buffer:take(self._buffer.length)
  if self._decode then
    kept = kept .. self._decode(nil)
  end
  self._decode = encoding and utf8_decoder.new() or nil
  if self._decode then
    kept = self._decode(kept) .. (self._ended and self._decode(nil) or "")
  end
  if kept ~= "" then
    self._buffer:push(kept)
  end
  return self
end

local function after_taking(self)
  emit_end_later(self)
  read_more(self)
end

-- Waits until `take` finds what it wants in the buffer, or the end.
local function read_until(self, callback, take)
  self._was_read = true
  return task.answer("data from a stream", callback, function(done)
    local function attempt()
      local data = take(self._buffer, self._ended)
      if data then
        after_taking(self)
        done(nil, data)
      elseif self.destroyed and not self._end_emitted then
        done(self._read_error)
      elseif self._ended then
        after_taking(self)
        done(nil, nil)
      else
        table.insert(self._waiters, 1, attempt)
        read_more(self)
        return
      end
      if self._buffer.length > 0 or self._ended then
        wake_waiter(self)
      end
    end
    if #self._waiters > 0 then
      table.insert(self._waiters, attempt)
    elseif callback then
      tick.add(attempt)
    else
      attempt()
    end
    return attempt
  end, function(attempt)
    for index, waiter in ipairs(self._waiters) do
      if waiter == attempt then
        table.remove(self._waiters, index)
        self._line_limit = nil
        return rest_if_unwanted(self)
      end
    end
  end)
end

--- Waits for data and returns what is there, `count` bytes at most (whole
--- characters, and one at least, after set_encoding); nil at the end, nil and an
--- error where the stream fails. With a callback, gives it (err, data). Reads
--- that wait at the same time are answered in order.
---@param count? integer all that is there where absent
---@param callback? fun(err: any, data: string?)
---@return string?
---@return mw.Error? err
function Readable:read(count, callback)
  if type(count) == "function" then
    count, callback = nil, count
  end
  options.optional("read", "count", count, options.integer(1))
  options.optional("read", "callback", callback, options.callback)
  return read_until(self, callback, function(buffer)
    if buffer.length == 0 then
      return nil
    end
    local size = math.min(count or buffer.length, buffer.length)
    return buffer:take(self._decode and buffer:whole_characters(size) or size)
  end)
end

-- A line without its newline; nil where it has not come whole.
local function take_line(self, buffer, ended)
  local size = buffer:find_newline()
  if not size and not ended then
    -- What is there is no line yet: the source has to give more.
    self._line_limit = buffer.length + self.high_water_mark
    return nil
  end
  self._line_limit = nil
  if size then
    return buffer:take(size):sub(1, -2)
  elseif buffer.length > 0 then
    return buffer:take(buffer.length)
  end
end

--- Returns an iterator that waits for one line after the other, of any length,
--- without the newline ("\r" before it stays). It ends with the stream; where
--- that fails, it returns nil and the error.
---@return fun(): string?, mw.Error?
function Readable:lines()
  return function()
    return read_until(self, nil, function(buffer, ended)
      return take_line(self, buffer, ended)
    end)
  end
end

-- Lets the data flow unless one of the destinations has enough for now.
local function resume_pipes(self)
  for _, pipe in ipairs(self._pipes) do
    if pipe.is_full then
      return
    end
  end
  self:resume()
end

local function new_pipe(self, destination, finish)
  local pipe = { destination = destination, is_full = destination._needs_drain or false }
  function pipe.on_data(chunk)
    if not destination:write(chunk) then
      pipe.is_full = true
      self:pause()
    end
  end
  function pipe.on_drain()
    if pipe.is_full then
      pipe.is_full = false
      resume_pipes(self)
    end
  end
  function pipe.unpipe()
    self:unpipe(destination)
  end
  function pipe.on_end()
    if finish then
      destination:finish() -- and its `finish` takes the pipe away
    else
      pipe.unpipe()
    end
  end
  function pipe.on_close()
    if not self._end_emitted then
      pipe.unpipe()
    end
  end
  return pipe
end

local function connect(self, pipe)
  pipe.destination:on("drain", pipe.on_drain)
  pipe.destination:on("finish", pipe.unpipe)
  pipe.destination:on("close", pipe.unpipe)
  self:on("end", pipe.on_end)
  self:on("close", pipe.on_close)
  self:on("data", pipe.on_data)
end

local function disconnect(self, pipe)
  pipe.destination:off("drain", pipe.on_drain)
  pipe.destination:off("finish", pipe.unpipe)
  pipe.destination:off("close", pipe.unpipe)
  self:off("end", pipe.on_end)
  self:off("close", pipe.on_close)
  self:off("data", pipe.on_data)
end

--- Writes all that comes to another stream, no faster than it takes it, and
--- finishes that at the end, unless `finish` is false or it is `process.stdout`
--- or `process.stderr`. With more than one destination, the slowest decides.
--- (Node: readable.pipe)
---@param destination mw.Writable
---@param opts? { finish: boolean } true where absent
---@return mw.Writable destination
function Readable:pipe(destination, opts)
  if type(destination) ~= "table" or not destination.write then
    errors.misuse("pipe: bad argument 'destination' (writable stream expected, got %s)", options.show(destination))
  end
  options.optional("pipe", "options", opts, options.table)
  options.check("pipe", opts or {}, { finish = options.boolean })
  local pipe = new_pipe(self, destination, (opts or {}).finish ~= false and not destination._outlives_pipes)
  self._pipes = self._pipes or {}
  table.insert(self._pipes, pipe)
  connect(self, pipe)
  if self._end_emitted then
    tick.add(pipe.on_end)
  end
  if pipe.is_full then
    self:pause()
  elseif self._flowing == false then
    resume_pipes(self)
  end
  destination:emit("pipe", self)
  return destination
end

--- Takes back pipe(), for one destination or for all. When none is left, the
--- stream is paused.
---@param destination? mw.Writable
---@return mw.Readable self
function Readable:unpipe(destination)
  for index = #(self._pipes or {}), 1, -1 do
    local pipe = self._pipes[index]
    if not destination or pipe.destination == destination then
      table.remove(self._pipes, index)
      disconnect(self, pipe)
      if #self._pipes == 0 then
        self:pause()
      elseif pipe.is_full then
        resume_pipes(self)
      end
      pipe.destination:emit("unpipe", self)
    end
  end
  return self
end

-- Fills the buffer although nobody reads yet.
function Readable:_read_ahead()
  read_more(self)
end

-- Emits `end` although nobody reads, where nothing is left to be read.
function Readable:_end_unread()
  emit_end_later(self)
end

-- Reads the source to its end although nobody may ever read the stream: calls
-- `on_end` once the source is over. What a reader has not taken stays
-- readable, up to a buffer's worth where nobody has shown interest.
function Readable:_read_to_end(on_end)
  if self._ended or self.destroyed then
    return on_end()
  end
  self._keeping, self._on_source_end = true, on_end
  read_more(self)
end

-- One who reads by waiting gets the error from the read that waits, or from
-- the next one.
function Readable:_error_is_taken()
  return self._was_read and self:listener_count "data" == 0
end

function Readable:_abandon(err)
  self._buffer:clear()
  self._read_error = err
  self._reading = nil
  while #self._waiters > 0 do
    wake_waiter(self)
  end
  source_ended(self)
end

return Readable
