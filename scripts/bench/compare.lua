-- Runs one workload as a program of ours and as one of a peer, in turn, and
-- prints the medians and their ratio. Each program prints one number.

local mw = require "mw"

local M = {}

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

local function median(numbers)
  table.sort(numbers)
  return numbers[(#numbers + 1) // 2]
end

---@class mw.Comparison
---@field title string
---@field unit string
---@field ours string[] program and arguments
---@field peer string[]
---@field peer_name string
---@field runs? integer of each, after one that does not count; 7 where absent

--- Compares, and prints a line: ours, the peer's, ours divided by the peer's.
---@param comparison mw.Comparison
function M.run(comparison)
  local ours, peers = {}, {}
  for run = 0, comparison.runs or 7 do
    local our_number = assert(measure(comparison.ours))
    local peer_number, missing = measure(comparison.peer)
    if missing then
      print(("%-44s %10.1f %s; no comparison: %s"):format(comparison.title, our_number, comparison.unit, missing))
      return
    elseif run > 0 then
      table.insert(ours, our_number)
      table.insert(peers, peer_number)
    end
  end
  local our_median, peer_median = median(ours), median(peers)
  print(
    ("%-44s mwrun %9.1f %s (%.1f to %.1f)   %s %9.1f %s (%.1f to %.1f)   ratio %.2f"):format(
      comparison.title,
      our_median,
      comparison.unit,
      ours[1],
      ours[#ours],
      comparison.peer_name,
      peer_median,
      comparison.unit,
      peers[1],
      peers[#peers],
      our_median / peer_median
    )
  )
end

---@class mw.Entry
---@field name string
---@field command string[] program and arguments

--- Compares one work of several programs, run in turn; prints the median of each,
--- its spread, and the first's divided by it. Who is not installed is named.
---@param title string
---@param unit string
---@param entries mw.Entry[] the first is ours
---@param runs? integer of each, after one that does not count; 5 where absent
function M.among(title, unit, entries, runs)
  local numbers, missing = {}, {}
  for index in ipairs(entries) do
    numbers[index] = {}
  end
  for run = 0, runs or 5 do
    for index, entry in ipairs(entries) do
      local number, reason
      if not missing[index] then
        number, reason = measure(entry.command)
      end
      missing[index] = missing[index] or reason
      if number and run > 0 then
        table.insert(numbers[index], number)
      end
    end
  end
  print(title)
  local ours = median(numbers[1])
  for index, entry in ipairs(entries) do
    local list = numbers[index]
    local text = missing[index]
    if not text then
      local middle = median(list)
      text = ("%9.1f %s (%.1f to %.1f)   ratio %.2f"):format(middle, unit, list[1], list[#list], ours / middle)
    end
    print(("  %-18s %s"):format(entry.name, text))
  end
end

--- The path of a file beside the script that runs.
---@param name string
---@return string
function M.path(name)
  return (arg[0]:match "^(.*/)" or "") .. name
end

return M
