-- The parts of our own command line, told apart by the global `arg`: options
-- before the script have negative indices, its arguments positive ones. Where
-- there is no script, `arg[0]` is the executable and all the rest are options.

local start = require "mw.start"
local system = require "mw.core.system"
local uv = require "mw.uv"

local M = {
  --- Where we were started.
  ---@type string?
  directory = nil,
  --- Our whole command line, beginning with the name that we were called by.
  ---@type string[]
  words = {},
}

-- Without "." and "..", and without asking the file system (Node:
-- path.resolve).
---@param path string
---@return string
function M.absolute(path)
  local directory = path:sub(1, 1) ~= "/" and system.cwd() or ""
  local parts = {}
  for part in (directory .. "/" .. path):gmatch "[^/]+" do
    if part == ".." then
      parts[#parts] = nil
    elseif part ~= "." then
      parts[#parts + 1] = part
    end
  end
  return "/" .. table.concat(parts, "/")
end

local has_script, script

local function all_words()
  local first = 0
  while arg and arg[first - 1] do
    first = first - 1
  end
  return table.move(arg or {}, first, #(arg or {}), 1, {})
end

-- At the start: the working directory may change, and `arg` is the program's.
-- "-" is standard input.
start.run(function()
  has_script = arg ~= nil and arg[-1] ~= nil
  script = has_script and (arg[0] == "-" and "-" or M.absolute(arg[0]))
  M.directory, M.words = system.cwd(), all_words()
end)

--- The executable, the script (an absolute path), its arguments.
---@return string[]
function M.argv()
  local argv = { uv.exepath() }
  if has_script then
    argv[2] = script
    table.move(arg, 1, #arg, 3, argv)
  end
  return argv
end

local takes_value = { ["-e"] = true, ["-l"] = true }

--- The options that a forked script gets too.
---@return string[]
function M.exec_argv()
  local first, last = 1, #(arg or {})
  if has_script then
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
