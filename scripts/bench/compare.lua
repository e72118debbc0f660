-- Runs one work as a program of ours and as programs of peers, in turn, and
-- prints the medians, their spread, and ours divided by each peer's. Each program
-- prints one number. What was measured is kept for who wants to show it.

local mw = require "mw"

local M = {
  --- What was measured so far.
  ---@type mw.BenchResult[]
  results = {},
  --- How often each program is run, where the work does not say.
  runs = 7,
}

---@class mw.BenchProgram
---@field name string
---@field command string[] program and arguments

---@class mw.BenchWork
---@field title string
---@field unit string of the number; what ends in "/s" is better where it is more
---@field programs mw.BenchProgram[] the first is ours
---@field runs? integer of each, after one that does not count

---@class mw.BenchResult
---@field title string
---@field unit string
---@field is_rate boolean whether more is better
---@field figures mw.BenchFigure[] the first is ours

---@class mw.BenchFigure
---@field name string
---@field median number?
---@field least number?
---@field most number?
---@field missing string? why there is none

local function measure(command)
  local stdout, err = mw.child_process.exec_file(command[1], { table.unpack(command, 2) }, { timeout = 120000 })
  if not stdout then
    if err.code == "ENOENT" then
      return nil, ("%s is not installed"):format(command[1])
    end
    error(err)
  end
  local number = tonumber(stdout)
  return number or error(("%s printed no number: %q"):format(table.concat(command, " "), stdout))
end

local function figure(name, numbers, missing)
  if missing then
    return { name = name, missing = missing }
  end
  table.sort(numbers)
  return { name = name, median = numbers[(#numbers + 1) // 2], least = numbers[1], most = numbers[#numbers] }
end

-- All programs, one after the other, and again: what disturbs one disturbs all.
local function run_in_turn(work)
  local numbers, missing = {}, {}
  for run = 0, work.runs or M.runs do
    for index, program in ipairs(work.programs) do
      local number
      if not missing[index] then
        number, missing[index] = measure(program.command)
      end
      numbers[index] = numbers[index] or {}
      if number and run > 0 then
        table.insert(numbers[index], number)
      end
    end
  end
  local figures = {}
  for index, program in ipairs(work.programs) do
    figures[index] = figure(program.name, numbers[index], missing[index])
  end
  return figures
end

--- Ours divided by another's; nil where there is one only.
---@param result mw.BenchResult
---@param other mw.BenchFigure
---@return number?
function M.ratio(result, other)
  local ours = result.figures[1]
  return ours.median and other.median and ours.median / other.median
end

local function print_result(result)
  print(result.title)
  for index, each in ipairs(result.figures) do
    local text = each.missing
    if not text then
      text = ("%10.1f %s (%.1f to %.1f)"):format(each.median, result.unit, each.least, each.most)
    end
    local ratio = index > 1 and M.ratio(result, each)
    print(("  %-18s %s%s"):format(each.name, text, ratio and ("   ratio %.2f"):format(ratio) or ""))
  end
  io.stdout:flush()
end

--- Compares, prints, and keeps the result.
---@param work mw.BenchWork
function M.run(work)
  local result = {
    title = work.title,
    unit = work.unit,
    is_rate = work.unit:find "/s$" ~= nil,
    figures = run_in_turn(work),
  }
  table.insert(M.results, result)
  print_result(result)
end

--- Us, and Node.
---@param title string
---@param unit string
---@param ours string[] program and arguments
---@param nodes string[]
---@param runs? integer
function M.beside_node(title, unit, ours, nodes, runs)
  M.run {
    title = title,
    unit = unit,
    programs = { { name = "mwrun", command = ours }, { name = "node", command = nodes } },
    runs = runs,
  }
end

--- The path of a file beside the script that runs.
---@param name string
---@return string
function M.path(name)
  return (arg[0]:match "^(.*/)" or "") .. name
end

return M
