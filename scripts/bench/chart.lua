-- A chart of results: how many times better than each peer, on a scale on which
-- each step is ten times the one before.

local M = {}

local width, label_width, row_height, top = 900, 430, 22, 64
local decades = 3 -- from a tenth to a hundred

local colours = { node = "#5b8c5a", nginx = "#3b6ea5", gunicorn = "#a56a3b", lua = "#777777" }

local function escape(text)
  return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

-- Where a factor stands, from 0.1 on the left to 100 on the right.
local function place(factor)
  local share = (math.log(factor, 10) + 1) / decades
  return label_width + math.max(0, math.min(1, share)) * (width - label_width - 60)
end

local function bar(row, title, peer, factor)
  local y, from, to = top + row * row_height, place(1), place(factor)
  local colour = colours[peer] or "#999999"
  local parts = {
    ('<text x="%d" y="%d" text-anchor="end">%s</text>'):format(label_width - 8, y + 14, escape(title)),
    ('<rect x="%.1f" y="%d" width="%.1f" height="14" fill="%s"/>'):format(
      math.min(from, to),
      y + 3,
      math.max(1, math.abs(to - from)),
      colour
    ),
    ('<text x="%.1f" y="%d">%s</text>'):format(math.max(from, to) + 4, y + 14, ("%.3g×"):format(factor)),
  }
  return table.concat(parts, "\n")
end

local function rows_of(results)
  local rows = {}
  for _, result in ipairs(results) do
    local ours = result.figures[1]
    for index = 2, #result.figures do
      local peer = result.figures[index]
      if ours.median and peer.median then
        local factor = result.is_rate and ours.median / peer.median or peer.median / ours.median
        local name = peer.name:match "^%a+"
        rows[#rows + 1] = bar(#rows, ("%s: %s"):format(result.title, name), name, factor)
      end
    end
  end
  return rows
end

local function axis(height)
  local parts = {}
  for exponent = -1, 2 do
    local x = place(10.0 ^ exponent)
    parts[#parts + 1] = ('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#cccccc"/>'):format(x, top - 6, x, height - 8)
    parts[#parts + 1] = ('<text x="%.1f" y="%d" text-anchor="middle">%g×</text>'):format(x, top - 12, 10.0 ^ exponent)
  end
  return table.concat(parts, "\n")
end

--- Draws them as SVG.
---@param results mw.BenchResult[]
---@return string
function M.draw(results)
  local rows = rows_of(results)
  local height = top + #rows * row_height + 12
  return table.concat({
    ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">'):format(
      width,
      height
    ),
    ('<rect width="%d" height="%d" fill="white"/>'):format(width, height),
    ('<text x="%d" y="22" text-anchor="end" font-size="15">how many times better than the peer</text>'):format(width - 60),
    axis(height),
    table.concat(rows, "\n"),
    "</svg>\n",
  }, "\n")
end

return M
