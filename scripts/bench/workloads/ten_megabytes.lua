-- A module as large as an application's: 10 MB of functions, tables and texts.

local code = [[
  local part = { name = 'part %d', value = %d }
  return function(x) part.last = x return part.name .. x end, part
]]

local parts = {}
repeat
  local number = #parts + 1
  parts[number] = { load(code:format(number, number))(), list = { number, number + 1, number + 2 } }
until collectgarbage "count" > 10 * 1024

return parts
