-- A module that is as large as that of an application: 10 MB of functions,
-- tables and texts.

local parts = {}
repeat
  local number = #parts + 1
  local code = ("local t = { name = 'part %d', value = %d } return function(x) t.last = x return t.name .. x end, t"):format(number, number)
  parts[number] = { load(code)(), text = ("%d"):format(number), list = { number, number + 1, number + 2 } }
until collectgarbage "count" > 10 * 1024

return parts
