-- Starting another mwrun with a channel to it. (Node's fork, not fork(2).)

local arguments = require "mw.child_process.arguments"
local core = require "mw.core.process"
local errors = require "mw.error"
local options = require "mw.options"
local process = require "mw.process"
local spawn = require "mw.child_process.spawn"
local stdio = require "mw.child_process.stdio"

local M = {}

local function stdio_of(opts)
  local value = opts.stdio
  if value == nil then
    value = opts.silent and "pipe" or "inherit"
  end
  if type(value) == "string" then
    return { value, value, value, "ipc" }
  end
  local _, ipc = stdio.parse("fork", value)
  if not ipc then
    errors.misuse "fork: option 'stdio' needs an 'ipc' item (ERR_CHILD_PROCESS_IPC_REQUIRED)"
  end
  return value
end

-- Nil where the worker is to be a process of its own from the start.
local function preload_of(opts, exec_argv)
  if not opts.preload then
    return nil
  elseif opts.exec_path then
    errors.misuse "fork: options 'preload' and 'exec_path' exclude each other: modules are loaded into this binary"
  end
  return { modules = { table.unpack(opts.preload) }, exec_argv = exec_argv, env = opts.env, cwd = opts.cwd }
end

--- Runs a script by mwrun, with the messages' channel between it and us. When
--- we die it hears `disconnect`, and is killed after `exit_flush_timeout` if it
--- still lives, unless `detached` or `die_with_parent = false` is set.
---@param script string
---@param args? string[]
---@param opts? table those of spawn, and `exec_path` (another binary), `exec_argv` (its options; ours where absent),
--- `silent` (pipes in place of our stdio), `preload` (modules: the worker is a copy of a process that has loaded them)
---@return mw.Child
function M.fork(script, args, opts, ...)
  local list, checked, callback = arguments.take("fork", script, args, opts, ...)
  if callback then
    errors.misuse "fork: takes no callback, listen to 'exit' or 'message'"
  end
  options.check("fork", checked, arguments.schemas.fork)
  local exec_argv = checked.exec_argv or process.exec_argv
  local preload = preload_of(checked, exec_argv)
  local argv = {}
  for _, part in ipairs { exec_argv, { script }, list } do
    for _, item in ipairs(part) do
      argv[#argv + 1] = tostring(item)
    end
  end
  local spawn_options = {}
  for key, value in pairs(checked) do
    spawn_options[key] = value
  end
  -- A worker is of no use to anybody else, unless it was made to be on its own.
  if spawn_options.die_with_parent == nil then
    spawn_options.die_with_parent = not checked.detached
  end
  spawn_options.death_signal = core.parent_death_signal
  spawn_options.shell, spawn_options.preload = nil, preload
  spawn_options.stdio = stdio_of(checked)
  return spawn.start("fork", checked.exec_path or process.exec_path, argv, spawn_options)
end

return M
