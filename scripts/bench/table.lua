-- A table of results, in Markdown: a line for each peer, with the ratio of ours to
-- its figure.

local M = {}

local function with_commas(digits)
  local grouped = digits:reverse():gsub("(%d%d%d)", "%1,"):reverse()
  return (grouped:gsub("^,", ""))
end

local function show(number)
  if number >= 1000 then
    return with_commas(("%.0f"):format(number))
  end
  return (number >= 100 and "%.0f" or number >= 10 and "%.1f" or "%.2f"):format(number)
end

local function show_ratio(ratio)
  return ratio < 0.1 and ("1/%.0f"):format(1 / ratio) or ("%.2f"):format(ratio)
end

local function show_figure(result, figure)
  if figure.missing then
    return figure.missing
  end
  local least, most = show(figure.least), show(figure.most)
  return ("%s %s (%s to %s)"):format(show(figure.median), result.unit, least, most)
end

--- Draws them.
---@param results mw.BenchResult[]
---@param ratio fun(result: mw.BenchResult, peer: mw.BenchFigure): number?
---@return string
function M.draw(results, ratio)
  local lines = { "| work | mwrun | peer | ratio |", "| --- | --- | --- | --- |" }
  for _, result in ipairs(results) do
    local title, ours = result.title, show_figure(result, result.figures[1])
    for index = 2, math.max(2, #result.figures) do
      local peer = result.figures[index]
      local theirs = peer and ("%s %s"):format(peer.name:match "^%a+", show_figure(result, peer)) or ""
      local factor = peer and ratio(result, peer)
      lines[#lines + 1] = ("| %s | %s | %s | %s |"):format(title, ours, theirs, factor and show_ratio(factor) or "")
      title, ours = "", ""
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

return M
