-- Every benchmark; then a table and a chart of them all.
--   scripts/bench/all [runs]

local chart = require "./chart"
local compare = require "./compare"
local result_table = require "./table"

local folder, runs = arg[1], math.tointeger(tonumber(arg[2]))
compare.runs = runs or compare.runs

for _, name in ipairs { "processes", "workers", "messages", "http", "cluster" } do
  dofile(compare.path(name .. ".lua"))
end

local function write(name, text)
  local path = folder .. "/" .. name
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
  print(path)
end

write("table.md", result_table.draw(compare.results, compare.ratio))
write("chart.svg", chart.draw(compare.results))
