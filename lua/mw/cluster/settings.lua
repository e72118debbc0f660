-- How workers are started: the settings of setup_master().

local arguments = require "mw.child_process.arguments"
local options = require "mw.options"
local policies = require "mw.cluster.policies"
local process = require "mw.process"

local M = {}

local fork = arguments.schemas.fork

local schema = {
  exec = options.name,
  args = options.list,
  preload = options.list,
  scheduling_policy = policies.check,
}

-- Those that are fork()'s own.
local forwarded =
  { "exec_path", "exec_argv", "cwd", "silent", "serialization", "uid", "gid", "stdio", "die_with_parent" }
for _, key in ipairs(forwarded) do
  schema[key] = fork[key]
end
forwarded[#forwarded + 1] = "preload"

-- A script that came by -e or standard input can't be run again.
local function own_script()
  local script = process.argv[2]
  return script ~= "-" and script or nil
end

local function defaults()
  return {
    exec = own_script(),
    args = { table.unpack(process.argv, 3) },
    exec_argv = process.exec_argv,
    silent = false,
  }
end

-- Lists may change at the caller's: what counts is what they were.
local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local list = {}
  for index, item in pairs(value) do
    list[index] = item
  end
  return list
end

--- The settings with changes: only the keys given change. Raises for what can be
--- none.
---@param current table empty the first time: then all others get their defaults
---@param changes? table
---@return table
function M.merge(current, changes)
  options.optional("setup_master", "settings", changes, options.table)
  options.check("setup_master", changes or {}, schema)
  local merged = {}
  for _, part in ipairs { next(current) and current or defaults(), changes or {} } do
    for key, value in pairs(part) do
      merged[key] = copy(value)
    end
  end
  return merged
end

--- The options of fork() for a worker.
---@param settings table
---@param env table<string, any>
---@return table
function M.fork_options(settings, env)
  local opts = { env = env }
  for _, key in ipairs(forwarded) do
    opts[key] = settings[key]
  end
  return opts
end

return M
