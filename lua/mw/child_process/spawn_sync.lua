-- Running a process to its end while everything else stands still: the loop
-- of this process does not turn meanwhile.

local arguments = require "mw.child_process.arguments"
local core = require "mw.core.process"
local errors = require "mw.error"
local options = require "mw.options"
local stdio = require "mw.child_process.stdio"

local M = {}

local default_max_buffer = 1024 * 1024

---@class mw.SyncResult
---@field pid integer? nil where it could not be started
---@field output table<integer, string>? what came from each pipe, by descriptor; nil where it could not be started
---@field stdout string?
---@field stderr string?
---@field status integer? the exit status
---@field signal string? the signal that ended it
---@field error mw.Error? what went wrong

-- What the option `stdio` makes of each descriptor; `input` takes the place of
-- what stands there for the first.
local function parse(what, opts)
  local slots = stdio.parse(what, opts.stdio)
  if opts.input then
    slots[1] = { kind = "pipe" }
  end
  return slots
end

-- What becomes of our ends of the pipes.
local function plan_of(what, slots, opts)
  local plan = {}
  for index, here in ipairs(slots) do
    if here.kind == "ipc" then
      errors.misuse("%s: option 'stdio' can't have 'ipc' (ERR_IPC_SYNC_FORK)", what)
    elseif here.kind == "pipe" then
      plan[index] = index == 1 and { input = opts.input or "" } or { capture = true }
    end
  end
  return plan
end

--- Runs from checked arguments; never raises for what the system refuses.
---@param what string
---@param file string
---@param args string[]
---@param opts table
---@return mw.SyncResult
local function run(what, file, args, opts)
  local slots = parse(what, opts)
  local engine = arguments.engine_options(file, args, opts)
  local plan = plan_of(what, slots, opts)
  engine.fds, engine.blocking = stdio.descriptors(slots)
  stdio.flush(slots)
  stdio.lend(slots)
  local result = core.spawn_sync(engine, {
    stdio = plan,
    timeout = opts.timeout and math.tointeger(opts.timeout) or 0,
    kill_signal = arguments.kill_signal(opts),
    max_buffer = opts.max_buffer or default_max_buffer,
  })
  stdio.take_back(slots)
  if result.error then
    result.error = arguments.spawn_error("spawnSync", result.error, result.stage, engine)
  end
  result.stage = nil
  local by_descriptor
  if result.pid then
    by_descriptor = {}
    for index, text in pairs(result.output) do
      by_descriptor[index - 1] = text
    end
    result.stdout, result.stderr = by_descriptor[1], by_descriptor[2]
  end
  result.output = by_descriptor
  return result
end

--- Runs a program to its end.
---@param file string
---@param args? string[]
---@param opts? table those of spawn, and `input` (bytes for its stdin), `max_buffer`, `encoding`
---@return mw.SyncResult
function M.spawn_sync(file, args, opts)
  local list, checked = arguments.take("spawn_sync", file, args, opts)
  options.check("spawn_sync", checked, arguments.schemas.spawn_sync)
  return run("spawn_sync", file, list, checked)
end

-- What exec_sync and exec_file_sync add: stderr is shown as well, and a status
-- other than 0 is an error.
local function run_command(what, file, args, opts, command)
  local result = run(what, file, args, opts)
  if not opts.stdio and result.stderr and result.stderr ~= "" then
    io.stdout:flush()
    io.stderr:write(result.stderr)
    io.stderr:flush()
  end
  if not result.error and result.status ~= 0 then
    local message = "Command failed: " .. command
    if result.stderr and result.stderr ~= "" then
      message = message .. "\n" .. result.stderr
    end
    result.error = errors.new(result.status, message)
  end
  if result.error then
    result.error.cmd, result.error.status, result.error.signal = command, result.status, result.signal
    result.error.stdout, result.error.stderr = result.stdout, result.stderr
  end
  return result
end

--- Runs a program to its end; its stderr goes to ours too, unless `stdio` is
--- given.
---@param file string
---@param args? string[]
---@param opts? table as of spawn_sync
---@return mw.SyncResult
function M.exec_file_sync(file, args, opts)
  local list, checked = arguments.take("exec_file_sync", file, args, opts)
  options.check("exec_file_sync", checked, arguments.schemas.spawn_sync)
  return run_command("exec_file_sync", file, list, checked, table.concat({ file, table.unpack(list) }, " "))
end

--- The same for a command line, run by a shell.
---@param command string
---@param opts? table as of spawn_sync
---@return mw.SyncResult
function M.exec_sync(command, opts)
  options.argument("exec_sync", "command", command, options.name)
  options.optional("exec_sync", "options", opts, options.table)
  local checked = { shell = true }
  for key, value in pairs(opts or {}) do
    checked[key] = value
  end
  options.check("exec_sync", checked, arguments.schemas.spawn_sync)
  checked.shell = checked.shell or true
  return run_command("exec_sync", command, {}, checked, command)
end

return M
