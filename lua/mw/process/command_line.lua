-- The parts of our own command line, told apart by the global `arg`: options
-- before the script have negative indices, its arguments positive ones. Where
-- there is no script, `arg[0]` is the executable and all the rest are options.

local uv = require "luv"

local M = {}

---@return string[] the executable, the script, its arguments
function M.argv()
  local argv = { uv.exepath() }
  if arg and arg[-1] then
    for index = 0, #arg do
      argv[#argv + 1] = arg[index]
    end
  end
  return argv
end

local takes_value = { ["-e"] = true, ["-l"] = true }

---@return string[] the options that a forked script gets too
function M.exec_argv()
  local first, last = 1, #(arg or {})
  if arg and arg[-1] then
    first, last = -1, -1
    while arg[first - 2] do
      first = first - 1
    end
  end
  local options = {}
  local index = first
  while index <= last do
    local option = arg[index]
    local value = takes_value[option] and arg[index + 1]
    if option == "-E" or option == "-W" or option:find "^%-l" then
      options[#options + 1] = option
      options[#options + 1] = value or nil
    end
    index = index + (value and 2 or 1)
  end
  return options
end

return M
