-- Starting a process and watching it.

local Channel = require "mw.ipc.channel"
local Child = require "mw.child_process.child"
local arguments = require "mw.child_process.arguments"
local core = require "mw.core.process"
local errors = require "mw.error"
local fork_server = require "mw.fork_server"
local options = require "mw.options"
local stdio = require "mw.child_process.stdio"
local tick = require "mw.tick"

local M = {}

-- As the engine takes them: what tells of this channel is set, and what would
-- tell of another is taken out.
local function channel_variables(opts, ipc)
  local list = {}
  for name, value in pairs(Channel.variables(ipc - 1, opts)) do
    list[#list + 1] = value and name .. "=" .. value or name
  end
  return list
end

-- Tells of a failure once the caller has had the time to listen.
local function fail_later(child, err)
  tick.add(child._ended, child, err.errno or -1, nil, err)
end

local function watch(child, opts)
  local signal = arguments.kill_signal(opts)
  if opts.timeout and opts.timeout > 0 then
    child:_limit_time(opts.timeout, function()
      child:kill(signal)
    end)
  end
  if opts.signal then
    child:_watch_token(opts.signal, signal)
  end
end

local function connect(child, slots, ipc, opts)
  if ipc then
    child:_open_channel(slots[ipc].our_end, opts)
    slots[ipc].our_end = nil
  end
end

-- Returns a handle, or nil and an error object.
local function launch(engine, opts, on_exit)
  local handle, code, stage
  if opts.preload then
    handle, code, stage = fork_server.spawn(opts.preload, engine, on_exit)
  else
    handle, code, stage = core.spawn(engine, on_exit)
  end
  if handle then
    return handle
  end
  return nil, errors.is_error(code) and code or arguments.spawn_error("spawn", code, stage, engine)
end

local function start(child, engine, slots, ipc, opts)
  engine.fds, engine.blocking = stdio.descriptors(slots)
  stdio.flush(slots)
  stdio.lend(slots)
  local handle, err = launch(engine, opts, function(exit_code, signal)
    child:_ended(exit_code, signal)
    stdio.take_back(slots)
  end)
  stdio.close_child_ends(slots)
  if not handle then
    stdio.take_back(slots)
    if err.code == "EMFILE" or err.code == "ENFILE" then
      stdio.close(slots)
      return err
    end
  end
  child:_set_streams(stdio.streams(slots))
  connect(child, slots, ipc, opts)
  if not handle then
    return err
  end
  child._process, child.pid = handle, handle:pid()
  watch(child, opts)
  tick.add(child._started, child)
end

-- Nothing is started. The streams are there all the same, and end.
local function abort(child, slots, token)
  stdio.close_child_ends(slots)
  child:_set_streams(stdio.streams(slots))
  stdio.close(slots)
  return errors.aborted(token)
end

--- Starts a process from checked arguments.
---@param what string the function that was called
---@param file string
---@param args string[]
---@param opts table
---@return mw.Child
function M.start(what, file, args, opts)
  local slots, ipc = stdio.parse(what, opts.stdio)
  local engine, real_file, argv = arguments.engine_options(file, args, opts)
  local child = Child.new(real_file, argv)
  local opened, code = stdio.open(slots)
  local err
  if not opened then
    err = arguments.spawn_error("spawn", code, "pipe", engine)
  elseif opts.signal and opts.signal.aborted then
    err = abort(child, slots, opts.signal)
  else
    engine.variables = ipc and channel_variables(opts, ipc)
    err = start(child, engine, slots, ipc, opts)
  end
  if err then
    fail_later(child, err)
  end
  return child
end

--- Starts a process and returns at once.
---@param file string looked up in PATH where it has no slash
---@param args? string[]
---@param opts? table cwd env argv0 stdio detached uid gid shell timeout kill_signal serialization signal limits umask
--- process_group die_with_parent max_backlog exit_flush_timeout
---@return mw.Child child emits `spawn exit close error`, and with an "ipc" item `disconnect`
function M.spawn(file, args, opts, ...)
  local list, checked, callback = arguments.take("spawn", file, args, opts, ...)
  if callback then
    errors.misuse "spawn: takes no callback, listen to 'exit' or 'close'"
  end
  options.check("spawn", checked, arguments.schemas.spawn)
  return M.start("spawn", file, list, checked)
end

return M
