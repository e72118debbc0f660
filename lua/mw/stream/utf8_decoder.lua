-- Keeps the bytes of a character that has not arrived whole until the rest of
-- it comes. Bytes that are no UTF-8 go through as they are.

local M = {}

-- How many bytes at the end of `text` begin a character without ending it.
local function unfinished(text)
  for back = 1, math.min(3, #text) do
    local byte = text:byte(-back)
    if byte >= 0xC2 and byte <= 0xF4 then
      local length = byte >= 0xF0 and 4 or byte >= 0xE0 and 3 or 2
      return length > back and back or 0
    elseif byte & 0xC0 ~= 0x80 then
      return 0
    end
  end
  return 0
end

--- Makes a decoder: give it the chunks, and nil at the end.
---@return fun(chunk: string?): string
function M.new()
  local rest = ""
  return function(chunk)
    local text = rest .. (chunk or "")
    local held = chunk and unfinished(text) or 0
    rest = text:sub(#text - held + 1)
    return held == 0 and text or text:sub(1, #text - held)
  end
end

return M
