-- A worker of master.lua: counts the prime numbers from `first` to `last`.

local first, last = math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2]))
if not (first and last) then
  io.stderr:write "usage: worker.lua FIRST LAST\n"
  os.exit(2)
end

local function is_prime(number)
  if number < 4 or number % 2 == 0 then
    return number == 2 or number == 3
  end
  for divisor = 3, math.floor(number ^ 0.5), 2 do
    if number % divisor == 0 then
      return false
    end
  end
  return true
end

local count = 0
for number = first, last do
  count = count + (is_prime(number) and 1 or 0)
end
print(count)
