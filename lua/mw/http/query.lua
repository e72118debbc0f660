-- Query strings, which is also how forms are written.
-- (https://url.spec.whatwg.org/#application/x-www-form-urlencoded)

local M = {}

local function byte_of(digits)
  return string.char(tonumber(digits, 16))
end

--- Turns "+" and "%41" into what they stand for; a "%" without two digits stays.
---@param text string
---@return string
function M.unescape(text)
  if not text:find "[%%+]" then
    return text
  end
  return (text:gsub("%+", " "):gsub("%%(%x%x)", byte_of))
end

local function escape_byte(char)
  return ("%%%02X"):format(char:byte())
end

--- Makes a text fit for a part of a URL: all but letters, digits and "-._~"
--- becomes "%41".
---@param text string
---@return string
function M.escape(text)
  return (text:gsub("[^%w%-%._~]", escape_byte))
end

local function add(list, name, value)
  local known = list[name]
  if known == nil then
    list[name] = value
  elseif type(known) == "table" then
    known[#known + 1] = value
  else
    list[name] = { known, value }
  end
end

--- Reads "a=1&b=x+y": values by their names. A name that comes several times has
--- a list, one without "=" an empty text. (Node: querystring.parse)
---@param text string
---@return table<string, string|string[]>
function M.parse(text)
  local values = {}
  for item in text:gmatch "[^&]+" do
    local name, value = item:match "^([^=]*)=(.*)$"
    add(values, M.unescape(name or item), M.unescape(value or ""))
  end
  return values
end

--- Writes it, in the order of the names.
---@param values table<string, any> texts, numbers, booleans, or lists of these
---@return string
function M.stringify(values)
  local names, items = {}, {}
  for name in pairs(values) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local value = values[name]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      items[#items + 1] = M.escape(name) .. "=" .. M.escape(tostring(one))
    end
  end
  return table.concat(items, "&")
end

return M
