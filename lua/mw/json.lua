-- JSON text and Lua values. (RFC 8259)
--
-- A table with the keys 1..n is an array; an empty one is an object unless it
-- is marked by `json.array`, as every decoded array is. Other tables are
-- objects; a key that is a number becomes text. Integers stay integers and
-- floats floats; NaN and the infinities are written as null.

local core = require "mw.core.json"
local errors = require "mw.error"

local M = {}

--- JSON's null, the same value as `mw.null`. (nil is absence.)
M.null = core.null

--- Gives the JSON text of a value. Raises, naming the place inside the value,
--- for what JSON can't hold: functions, userdata, threads, strings that are no
--- UTF-8, keys that are neither strings nor numbers, tables that contain
--- themselves or are nested deeper than 1000. Metamethods are not asked.
---@param value any
---@return string text
function M.encode(value)
  if value == nil then
    errors.misuse("json.encode: bad argument 'value' (value expected, got nil)")
  end
  local text, problem = core.encode(value)
  if not text then
    errors.misuse("json.encode: " .. problem)
  end
  return text
end

--- Gives the value of a JSON text, which is all of `text`. Integers beyond 64
--- bits become floats; of equal keys the last one counts.
---@param text string
---@return any value nil where the text is no JSON; null is `json.null`
---@return mw.Error? err ERR_INVALID_JSON, with `offset`: byte 1 is the first
function M.decode(text)
  if type(text) ~= "string" then
    errors.misuse("json.decode: bad argument 'text' (string expected, got %s)", type(text))
  end
  local value, problem, offset = core.decode(text)
  if value == nil then
    return nil, errors.new("ERR_INVALID_JSON", "ERR_INVALID_JSON: " .. problem, { offset = offset })
  end
  return value
end

--- Marks a table as an array, by its metatable: an empty one is then written
--- as `[]`, and nil in one with holes as null.
---@generic T: table
---@param t T
---@return T t
function M.array(t)
  if type(t) ~= "table" then
    errors.misuse("json.array: bad argument 't' (table expected, got %s)", type(t))
  end
  local metatable = getmetatable(t)
  if metatable == nil then
    setmetatable(t, core.array_mark)
  elseif metatable ~= core.array_mark then
    errors.misuse("json.array: bad argument 't' (it has a metatable already)")
  end
  return t
end

return M
