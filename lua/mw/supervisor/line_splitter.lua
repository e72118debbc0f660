-- From pieces to whole lines.

---@class mw.LineSplitter
local LineSplitter = {}
LineSplitter.__index = LineSplitter

-- A longer line comes in several.
local longest_line = 65536

---@param on_line fun(line: string) without its line end
---@return mw.LineSplitter
function LineSplitter.new(on_line)
  return setmetatable({ _on_line = on_line, _pieces = {}, _length = 0 }, LineSplitter)
end

local function take_rest(self)
  local rest = table.concat(self._pieces)
  self._pieces, self._length = {}, 0
  return rest
end

local function keep(self, piece)
  if self._length + #piece > longest_line then
    piece = take_rest(self) .. piece
    while #piece > longest_line do
      self._on_line(piece:sub(1, longest_line))
      piece = piece:sub(longest_line + 1)
    end
  end
  self._pieces[#self._pieces + 1] = piece
  self._length = self._length + #piece
end

--- Takes the next piece.
---@param piece string
function LineSplitter:push(piece)
  local first = 1
  local last = piece:find("\n", first, true)
  while last do
    keep(self, piece:sub(first, last - 1))
    self._on_line(take_rest(self))
    first = last + 1
    last = piece:find("\n", first, true)
  end
  keep(self, piece:sub(first))
end

--- The beginning of a line.
---@return string
function LineSplitter:rest()
  return table.concat(self._pieces)
end

--- Gives what has no line end: nothing follows.
function LineSplitter:finish()
  if self._length > 0 then
    self._on_line(take_rest(self))
  end
end

return LineSplitter
