-- Bytes that have arrived and wait to be read: chunks in order, taken off in
-- pieces without copying what stays.

---@class mw.ByteQueue
---@field length integer
---@field package _offset integer where the first chunk begins
---@field package _searched integer? the first chunk that may have a newline
---@field package _searched_bytes integer those before it
local Queue = { length = 0, _first = 1, _last = 0, _offset = 1, _searched_bytes = 0 }
Queue.__index = Queue

--- Makes an empty queue.
---@return mw.ByteQueue
function Queue.new()
  return setmetatable({}, Queue)
end

--- Adds a chunk at the end.
---@param chunk string not empty
function Queue:push(chunk)
  self._last = self._last + 1
  self[self._last] = chunk
  self.length = self.length + #chunk
end

-- Takes `count` bytes, all within the first chunk.
local function take_from_first(self, count)
  self._searched, self._searched_bytes = nil, 0
  local chunk, offset = self[self._first], self._offset
  self.length = self.length - count
  if offset + count > #chunk then
    self[self._first] = nil
    self._first, self._offset = self._first + 1, 1
    return offset == 1 and chunk or chunk:sub(offset)
  end
  self._offset = offset + count
  return chunk:sub(offset, offset + count - 1)
end

--- Takes off the first `count` bytes, which must be there; "" for none.
---@param count integer
---@return string
function Queue:take(count)
  local pieces = {}
  while count > 0 do
    local here = #self[self._first] - self._offset + 1
    local piece = take_from_first(self, math.min(here, count))
    pieces[#pieces + 1] = piece
    count = count - #piece
  end
  return table.concat(pieces)
end

--- Takes off what came as one chunk.
---@return string
function Queue:take_chunk()
  return take_from_first(self, #self[self._first] - self._offset + 1)
end

--- How many bytes there are up to and with the first newline; nil where there
--- is none. What was searched before is not searched again.
---@return integer? count
function Queue:find_newline()
  for index = self._searched or self._first, self._last do
    local chunk = self[index]
    local offset = index == self._first and self._offset or 1
    local position = chunk:find("\n", offset, true)
    if position then
      self._searched = index
      return self._searched_bytes + position - offset + 1
    end
    self._searched, self._searched_bytes = index + 1, self._searched_bytes + #chunk - offset + 1
  end
  return nil
end

--- How many of the first `count` bytes can be taken without cutting a UTF-8
--- character; at least one character, where a whole one is there.
---@param count integer
---@return integer
function Queue:whole_characters(count)
  if count >= self.length then
    return self.length
  end
  local text = self:peek(math.min(self.length, count + 4))
  local cut = count
  while cut > 0 and cut > count - 4 and (text:byte(cut + 1) or 0) & 0xC0 == 0x80 do
    cut = cut - 1
  end
  if cut > 0 then
    return cut
  end
  cut = count + 1
  while (text:byte(cut + 1) or 0) & 0xC0 == 0x80 do
    cut = cut + 1
  end
  return cut
end

--- The first `count` bytes, which stay.
---@param count integer
---@return string
function Queue:peek(count)
  local pieces = {}
  local index, offset = self._first, self._offset
  while count > 0 do
    local piece = self[index]:sub(offset, offset + count - 1)
    pieces[#pieces + 1] = piece
    count = count - #piece
    index, offset = index + 1, 1
  end
  return table.concat(pieces)
end

--- Drops all.
function Queue:clear()
  if self.length == 0 then
    return
  end
  for index = self._first, self._last do
    self[index] = nil
  end
  self.length, self._first, self._last, self._offset = 0, 1, 0, 1
  self._searched, self._searched_bytes = nil, 0
end

return Queue
