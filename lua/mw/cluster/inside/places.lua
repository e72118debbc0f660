-- The places at which a worker listens: the first server at one address shares
-- it with the first of every other worker, the second with the second.

local M = {}

---@type table<string, table<integer, true>>
local taken = {}

--- Takes the first number that is free.
---@param name string
---@return integer
function M.take(name)
  local numbers = taken[name] or {}
  taken[name] = numbers
  local number = 0
  while numbers[number] do
    number = number + 1
  end
  numbers[number] = true
  return number
end

--- Gives it back.
---@param name string
---@param number integer
function M.free(name, number)
  local numbers = taken[name]
  numbers[number] = nil
  if next(numbers) == nil then
    taken[name] = nil
  end
end

return M
