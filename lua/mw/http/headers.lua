-- The headers of a request to be sent, in the order in which they were set.

local core = require "mw.core.http"
local errors = require "mw.error"
local options = require "mw.options"

---@class mw.HttpHeaders
local Headers = {}
Headers.__index = Headers

---@return mw.HttpHeaders
function Headers.new()
  return setmetatable({ _names = {}, _values = {} }, Headers)
end

local function check(what, name, value)
  if type(name) ~= "string" or not core.is_token(name) then
    errors.misuse("%s: bad argument 'name' (name of a header expected, got %s)", what, options.show(name))
  end
  if type(value) == "number" then
    return math.type(value) == "integer" and tostring(value) or ("%.14g"):format(value)
  elseif type(value) ~= "string" or not core.is_value(value) then
    errors.misuse("%s: bad argument 'value' (text that the header '%s' can have expected, got %s)", what, name,
      options.show(value))
  end
  return value
end

--- Sets a header in place of one of that name; a list sends it several times.
---@param what string the function that does
---@param name string
---@param value string|number|string[]
function Headers:set(what, name, value)
  local values = {}
  for index, one in ipairs(type(value) == "table" and value or { value }) do
    values[index] = check(what, name, one)
  end
  if value == nil then
    check(what, name, value)
  end
  self:remove(name)
  table.insert(self._names, name)
  self._values[name:lower()] = values
end

---@param name string
function Headers:remove(name)
  local lower = name:lower()
  self._values[lower] = nil
  for index, known in ipairs(self._names) do
    if known:lower() == lower then
      return table.remove(self._names, index)
    end
  end
end

---@param name string
---@return string|string[]|nil
function Headers:get(name)
  local values = self._values[name:lower()]
  return values and (#values == 1 and values[1] or values) or nil
end

--- The lines.
---@return string
function Headers:text()
  local lines = {}
  for _, name in ipairs(self._names) do
    for _, value in ipairs(self._values[name:lower()]) do
      lines[#lines + 1] = name .. ": " .. value .. "\r\n"
    end
  end
  return table.concat(lines)
end

return Headers
