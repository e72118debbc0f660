-- Running a command to its end, with its output collected.

local arguments = require "mw.child_process.arguments"
local errors = require "mw.error"
local options = require "mw.options"
local spawn = require "mw.child_process.spawn"
local task = require "mw.task"
local timers = require "mw.timers"

local M = {}

local default_max_buffer = 1024 * 1024

---@class mw.Run what a command has come to so far
local Run = {}
Run.__index = Run

-- Keeps what comes, up to the limit exactly; the first byte beyond ends it.
local function collect(self, name, stream)
  local chunks, kept = {}, 0
  self[name] = chunks
  if not stream then
    return
  end
  stream:on("data", function(chunk)
    local room = self.max_buffer - kept
    if #chunk > room and not self.err then
      chunk = chunk:sub(1, math.max(0, math.floor(room)))
      local code = "ERR_CHILD_PROCESS_STDIO_MAXBUFFER"
      self.err = errors.new(code, ("%s: %s is longer than max_buffer"):format(code, name))
      self:stop()
    elseif #chunk > room then
      return
    end
    kept = kept + #chunk
    chunks[#chunks + 1] = chunk
  end)
  -- An error of the stream alone is no reason to fail: the end of the process
  -- tells what became of it.
  stream:on("error", function() end)
end

--- Closes our ends of the pipes, so that nobody who inherited the others can
--- make us wait.
function Run:close_streams()
  for _, stream in pairs(self.child.stdio or {}) do
    stream:destroy()
  end
end

--- Gives the command up.
function Run:stop()
  self:close_streams()
  self.killed = self.child:kill(self.kill_signal) or self.killed
end

function Run:command_failed(code, signal, stderr)
  local message = "Command failed: " .. self.command
  if stderr ~= "" then
    message = message .. "\n" .. stderr
  end
  return errors.new(code, message, { killed = self.killed or self.child.killed, signal = signal })
end

function Run:finish(code, signal)
  if self.finished then
    return
  end
  self.finished = true
  timers.clear_timeout(self.timer)
  local stdout, stderr = table.concat(self.stdout), table.concat(self.stderr)
  local err = self.err
  if not err and code == 0 and not signal then
    return self.callback(nil, stdout, stderr)
  end
  err = err or self:command_failed(code, signal, stderr)
  err.cmd, err.stdout, err.stderr = err.cmd or self.command, stdout, stderr
  self.callback(err, stdout, stderr)
end

local function start(what, file, args, opts, command, callback)
  local self = setmetatable({
    callback = callback,
    command = command,
    killed = false,
    kill_signal = arguments.kill_signal(opts),
    max_buffer = opts.max_buffer or default_max_buffer,
  }, Run)
  -- Our own time limit holds beyond the end of the process, up to that of its
  -- pipes, and closes them; spawn's does neither.
  local spawn_options = {}
  for key, value in pairs(opts) do
    spawn_options[key] = value
  end
  spawn_options.timeout = nil
  local child = spawn.start(what, file, args, spawn_options)
  self.child = child
  collect(self, "stdout", child.stdout)
  collect(self, "stderr", child.stderr)
  child:on("error", function(err)
    self.err = self.err or err
    if child.pid then
      -- It was aborted, or it can't be signalled: its end may never come.
      self:close_streams()
      self:finish()
    end
  end)
  child:on("close", function(code, signal)
    self:finish(code, signal)
  end)
  if opts.timeout and opts.timeout > 0 and child.pid then
    self.timer = timers.set_timeout(self.stop, opts.timeout, self)
  end
  return self
end

local function run(what, file, args, opts, command, callback)
  options.optional(what, "callback", callback, options.callback)
  if callback then
    return start(what, file, args, opts, command, callback).child
  end
  return task.answer("the end of a command", nil, function(done)
    return start(what, file, args, opts, command, done)
  end, Run.stop)
end

--- Runs a program; `callback` gets (err, stdout, stderr) and the child is
--- returned. Without one, waits and returns stdout and stderr, or nil and err,
--- which has them too.
---@param file string
---@param args? string[]
---@param opts? table those of spawn, and `max_buffer` (bytes of each output, 1 MiB), `encoding`
---@param callback? fun(err: mw.Error?, stdout: string, stderr: string)
---@return any ...
function M.exec_file(file, args, opts, callback)
  local list, checked, done = arguments.take("exec_file", file, args, opts, callback)
  options.check("exec_file", checked, arguments.schemas.exec_file)
  local command = table.concat({ file, table.unpack(list) }, " ")
  return run("exec_file", file, list, checked, command, done)
end

--- Runs a command line by a shell (/bin/sh, or the option `shell`).
---@param command string
---@param opts? table as of exec_file
---@param callback? fun(err: mw.Error?, stdout: string, stderr: string)
---@return any ...
function M.exec(command, opts, callback)
  options.argument("exec", "command", command, options.name)
  if type(opts) == "function" and callback == nil then
    opts, callback = nil, opts
  end
  options.optional("exec", "options", opts, options.table)
  local checked = { shell = true }
  for key, value in pairs(opts or {}) do
    checked[key] = value
  end
  options.check("exec", checked, arguments.schemas.exec)
  checked.shell = checked.shell or true
  return run("exec", command, {}, checked, command, callback)
end

return M
