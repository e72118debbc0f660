-- Checks of arguments and of tables of options: types, ranges, unknown keys.
-- A check is a function that returns what it expected where the value is
-- wrong, and nothing where it is right.

local errors = require "mw.error"

local M = {}

---@alias mw.Check fun(value: any): string?

local function of_type(name)
  return function(value)
    if type(value) ~= name then
      return name
    end
  end
end

M.boolean = of_type("boolean")
M.callback = of_type("function")
M.table = of_type("table")

--- Text that the kernel takes: without NUL bytes.
function M.text(value)
  if type(value) ~= "string" or value:find("\0", 1, true) then
    return "string without NUL bytes"
  end
end

--- The same, and not empty.
function M.name(value)
  if type(value) ~= "string" or value == "" or value:find("\0", 1, true) then
    return "non-empty string without NUL bytes"
  end
end

--- Any bytes.
M.bytes = of_type("string")

--- A whole number in a range; floats with a whole value count.
---@param low integer
---@param high? integer
---@return mw.Check
function M.integer(low, high)
  local expected = high and ("integer from %d to %d"):format(low, high) or ("integer of at least %d"):format(low)
  return function(value)
    local number = math.type(value) and math.tointeger(value)
    if not number or number < low or (high and number > high) then
      return expected
    end
  end
end

--- A number from 0 up, infinity and fractions included.
function M.size(value)
  if type(value) ~= "number" or not (value >= 0) then
    return "number of at least 0"
  end
end

--- The signal of an abort controller.
function M.abort_signal(value)
  if type(value) ~= "table" or type(value.aborted) ~= "boolean" or not value.on then
    return "signal of an abort controller"
  end
end

--- One of some words.
---@param ... string
---@return mw.Check
function M.one_of(...)
  local words = {}
  for _, word in ipairs({ ... }) do
    words[word] = true
  end
  local expected = "'" .. table.concat({ ... }, "', '") .. "'"
  return function(value)
    if not words[value] then
      return expected
    end
  end
end

--- A list of texts, in order from 1.
function M.list(value)
  if type(value) ~= "table" then
    return "list of strings"
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  for index = 1, count do
    local item = value[index]
    if type(item) ~= "number" and M.text(item) then
      return ("list of strings without NUL bytes (item %d is %s)"):format(index, M.show(item))
    end
  end
end

--- A value as an error message shows it.
---@return string
function M.show(value)
  if type(value) == "string" then
    return #value > 40 and ("%q..."):format(value:sub(1, 40)) or ("%q"):format(value)
  elseif type(value) == "number" or type(value) == "boolean" or value == nil then
    return tostring(value)
  end
  return "a " .. type(value)
end

-- The number of single-character edits between two words, up to a bound.
local function distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local change = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + change)
      diagonal, row[j] = row[j], best
    end
  end
  return row[#b]
end

local function suggestion(key, schema)
  local nearest, least = nil, 3
  for name in pairs(schema) do
    local edits = distance(key, name)
    if edits < least or (edits == least and nearest and name < nearest) then
      nearest, least = name, edits
    end
  end
  return nearest and (", did you mean '%s'?"):format(nearest) or ""
end

--- Raises where a table of options has a key that is not in the schema, or a
--- value that its check refuses.
---@param what string the function that takes them
---@param options table
---@param schema table<string, mw.Check>
function M.check(what, options, schema)
  for key, value in pairs(options) do
    local check = schema[key]
    if not check then
      errors.misuse("%s: unknown option '%s'%s", what, tostring(key), suggestion(tostring(key), schema))
    end
    local expected = check(value)
    if expected then
      errors.misuse("%s: bad option '%s' (%s expected, got %s)", what, key, expected, M.show(value))
    end
  end
end

--- Raises where an argument is not what its check expects.
---@param what string the function that takes it
---@param name string
---@param value any
---@param check mw.Check
function M.argument(what, name, value, check)
  local expected = check(value)
  if expected then
    errors.misuse("%s: bad argument '%s' (%s expected, got %s)", what, name, expected, M.show(value))
  end
end

--- The same for an argument that may be absent.
function M.optional(what, name, value, check)
  if value ~= nil then
    M.argument(what, name, value, check)
  end
end

return M
