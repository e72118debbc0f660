-- Every benchmark; then a table and a chart of them all.
--   scripts/bench/all [runs]

local chart = require "./chart"
local compare = require "./compare"

local folder, runs = arg[1], math.tointeger(tonumber(arg[2]))
compare.runs = runs or compare.runs

for _, name in ipairs { "processes", "workers", "messages", "http", "cluster" } do
  dofile(compare.path(name .. ".lua"))
end

local function spread(result, figure)
  if figure.missing then
    return figure.missing
  end
  return ("%.4g %s (%.3g to %.3g)"):format(figure.median, result.unit, figure.least, figure.most)
end

local function table_of(results)
  local lines = { "| work | mwrun | peer | ratio |", "| --- | --- | --- | --- |" }
  for _, result in ipairs(results) do
    local ours = spread(result, result.figures[1])
    if not result.figures[2] then
      lines[#lines + 1] = ("| %s | %s | | |"):format(result.title, ours)
    end
    for index = 2, #result.figures do
      local peer = result.figures[index]
      local ratio = compare.ratio(result, peer)
      local text = ratio and ("%.3g"):format(ratio) or ""
      lines[#lines + 1] = ("| %s | %s | %s %s | %s |"):format(result.title, ours, peer.name, spread(result, peer), text)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

local function write(name, text)
  local path = folder .. "/" .. name
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
  print(path)
end

write("table.md", table_of(compare.results))
write("chart.svg", chart.draw(compare.results))
