-- Readable streams. (https://nodejs.org/api/stream.html#readable-streams)
--
-- A kind of stream puts in
--   _read(self)   begin to deliver: self:push(chunk) for what comes, and
--                 self:push(nil) at the end. Once push returns false, nothing
--                 more is wanted until _read is called again.

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

--- Prepares the fields of the readable side.
---@param high_water_mark? integer bytes buffered before the source is stopped
function Readable:_init_readable(high_water_mark)
  self.readable_side = true
  self.high_water_mark = high_water_mark or 65536
  self._buffer = Queue.new()
  self._flowing = nil -- true, false after pause(), nil before either
  self._reading = false -- _read has been called, and push wants more
  self._ended = false -- the source has nothing more
  self._end_emitted = false
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
    return self.high_water_mark
  end
  return has_reader(self) and kept_for_a_reader or math.huge
end

local function read_more(self)
  if not self._reading and not self._ended and not self.destroyed and self._buffer.length < limit(self) then
    self._reading = true
    self:_read()
  end
end

local function wake_waiter(self)
  local waiter = table.remove(self._waiters, 1)
  if waiter then
    waiter()
  end
end

local function source_ended(self)
  if self._on_source_end then
    self._on_source_end()
    self._on_source_end = nil
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
    self:_flow()
  end
  source_ended(self)
end

-- Without a reader only a buffer's worth is kept of what a source that must
-- end still gives.
local function keep(self, chunk)
  if self._keeping and not has_reader(self) then
    chunk = chunk:sub(1, math.max(0, self.high_water_mark - self._buffer.length))
  end
  if chunk ~= "" then
    self._buffer:push(chunk)
    wake_waiter(self)
  end
end

--- Takes a chunk from the source, nil at the end. Returns whether it may go on.
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
  chunk = self._decode and self._decode(chunk) or chunk
  if self._flowing and self._buffer.length == 0 and #self._waiters == 0 then
    if chunk ~= "" then
      self:emit("data", chunk)
    end
  else
    keep(self, chunk)
    if self._flowing then
      self:_flow()
    end
  end
  self._reading = not self.destroyed and self._buffer.length < limit(self)
  return self._reading
end

function Readable:_flow()
  while self._flowing and not self.destroyed and self._buffer.length > 0 do
    self:emit("data", self._buffer:take_chunk())
  end
  emit_end_later(self)
  if self._flowing then
    read_more(self)
  end
end

function Readable:_listening_changed(event, has)
  if event == "data" and has and self._flowing == nil then
    self:resume()
  end
end

--- Lets `data` events come. A `data` listener does this too, unless pause()
--- was called.
---@return mw.Readable self
function Readable:resume()
  if not self._flowing and not self.destroyed then
    self._flowing = true
    tick.add(self._flow, self)
  end
  return self
end

--- Holds `data` events back, and the source once the buffer is full.
---@return mw.Readable self
function Readable:pause()
  self._flowing = false
  return self
end

---@return boolean
function Readable:is_paused()
  return self._flowing == false
end

--- How many bytes wait in the buffer.
---@return integer
function Readable:readable_length()
  return self._buffer.length
end

--- With "utf8", no chunk ends within a character; nil gives bytes again.
---@param encoding "utf8"|nil
---@return mw.Readable self
function Readable:set_encoding(encoding)
  if encoding ~= nil and encoding ~= "utf8" and encoding ~= "utf-8" then
    errors.misuse("set_encoding: bad argument 'encoding' ('utf8' or nil expected, got %s)", options.show(encoding))
  end
  self.encoding = encoding and "utf8"
  self._decode = encoding and utf8_decoder.new() or nil
  if encoding and self._buffer.length > 0 then
    local text = self._decode(self._buffer:take(self._buffer.length))
    if text ~= "" then
      self._buffer:push(text)
    end
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
        return table.remove(self._waiters, index)
      end
    end
  end)
end

--- Waits for data and returns what is there, `count` bytes at most; nil at the
--- end, nil and an error where the stream fails. With a callback, gives it
--- (err, data).
---@param count? integer
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

--- Returns an iterator that waits for one line after the other, without the
--- newline.
---@return fun(): string?
function Readable:lines()
  return function()
    local size, seen
    local line, err = read_until(self, nil, function(buffer, ended)
      size, seen = buffer:find_newline(seen)
      if size then
        return buffer:take(size)
      elseif ended and buffer.length > 0 then
        return buffer:take(buffer.length)
      elseif buffer.length >= self.high_water_mark then
        self.high_water_mark = self.high_water_mark * 2
      end
    end)
    if not line then
      return nil, err
    end
    return (line:gsub("\n$", ""))
  end
end

--- Writes all that comes to another stream, no faster than it takes it, and
--- finishes that at the end, unless `finish` is false.
---@param destination mw.Writable
---@param opts? { finish: boolean }
---@return mw.Writable destination
function Readable:pipe(destination, opts)
  if type(destination) ~= "table" or not destination.write then
    errors.misuse("pipe: bad argument 'destination' (writable stream expected, got %s)", options.show(destination))
  end
  options.check("pipe", opts or {}, { finish = options.boolean })
  local finish = not opts or opts.finish ~= false
  local pipe = { destination = destination }
  function pipe.on_data(chunk)
    if not destination:write(chunk) then
      self:pause()
    end
  end
  function pipe.on_drain()
    self:resume()
  end
  function pipe.on_end()
    if finish then
      destination:finish()
    end
  end
  function pipe.on_close()
    self:unpipe(destination)
  end
  self._pipes = self._pipes or {}
  table.insert(self._pipes, pipe)
  destination:on("drain", pipe.on_drain)
  destination:once("close", pipe.on_close)
  self:on("end", pipe.on_end)
  self:on("data", pipe.on_data)
  if self._flowing == false then
    self:resume()
  end
  destination:emit("pipe", self)
  return destination
end

--- Takes back pipe(), for one destination or for all.
---@param destination? mw.Writable
---@return mw.Readable self
function Readable:unpipe(destination)
  for index = #(self._pipes or {}), 1, -1 do
    local pipe = self._pipes[index]
    if not destination or pipe.destination == destination then
      table.remove(self._pipes, index)
      pipe.destination:off("drain", pipe.on_drain)
      pipe.destination:off("close", pipe.on_close)
      self:off("end", pipe.on_end)
      self:off("data", pipe.on_data)
      self:pause()
      pipe.destination:emit("unpipe", self)
    end
  end
  return self
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

function Readable:_abandon(err)
  self._buffer:clear()
  self._read_error = err
  self._reading = false
  while #self._waiters > 0 do
    wake_waiter(self)
  end
  source_ended(self)
end

return Readable
