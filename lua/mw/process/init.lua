-- The process itself. (https://nodejs.org/api/process.html)

local command_line = require "mw.process.command_line"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local exit = require "mw.exit"
local loop = require "mw.core.loop"
local options = require "mw.options"
local parent = require "mw.process.parent"
local signals = require "mw.process.signals"
local start = require "mw.start"
local system = require "mw.core.system"
local tick = require "mw.tick"
local uv = require "mw.uv"

---@class mw.process
---@field pid integer
---@field ppid integer read live: it changes when the parent dies
---@field argv string[] the executable and the script as absolute paths, its arguments
---@field exec_argv string[] the options before the script that a forked script gets too
---@field exec_path string absolute path of the executable
---@field title string as `ps` shows it; writable, cut off after the length of the command line
---@field exit_code integer? the status at the natural end, and of exit() without one; writable
---@field env table<string, string> reads and writes the real environment; nil removes, numbers and booleans become text
---@field stdin mw.StandardInput
---@field stdout mw.StandardOutput
---@field stderr mw.StandardOutput
---@field connected boolean whether messages can be sent to a parent
---@field channel mw.Channel? the channel to it; nil where there is none
---@field send? fun(message: any, handle?: nil, opts?: table, callback?: fun(err: mw.Error?)): boolean
---@field disconnect? fun(): true?, mw.Error?
local process = {}

local events = emitter.new()
local follow_signals, hold_signals = signals.follower()

function events:_listening_changed(event, count, before)
  if count == 0 or before == 0 then
    follow_signals(self, event, count > 0)
  end
  parent.follow_listeners(self, event)
end

-- Values that are made or asked for when they are looked at.
local getters, setters = {}, {}
local exit_code

--- Calls `fn` at an event: `exit` (status), `before_exit` (status),
--- `uncaught_exception` (err, origin, traceback), and every signal by its name
--- (name, number). The origin is "uncaught_exception", or "unhandled_rejection"
--- for a task that nobody joins. A listener of a signal replaces the default
--- action until it is taken back, and does not keep the loop alive; SIGKILL and
--- SIGSTOP raise. (https://nodejs.org/api/process.html#process-events)
---@param event string
---@param fn function
---@return mw.process
function process.on(event, fn)
  events:on(event, fn)
  return process
end

--- The same, once.
---@param event string
---@param fn function
---@return mw.process
function process.once(event, fn)
  events:once(event, fn)
  return process
end

--- Takes back one `on` or `once` of this function, the latest.
---@param event string
---@param fn function
---@return mw.process
function process.off(event, fn)
  events:off(event, fn)
  return process
end

--- Takes back every listener of one event, or of all.
---@param event? string
---@return mw.process
function process.remove_all_listeners(event)
  events:remove_all_listeners(event)
  return process
end

--- How many listeners an event has.
---@param event string
---@return integer
function process.listener_count(event)
  return events:listener_count(event)
end

--- Calls the listeners of an event, as if it had come.
---@param event string
---@param ... any
---@return boolean called whether there was a listener
function process.emit(event, ...)
  return events:emit(event, ...)
end

--- Waits for an event of the process, as emitters do. Like a listener, it does
--- not keep the loop alive.
---@param event string
---@param timeout? number milliseconds; no limit where absent
---@return any ... the event's values, or nil and an error
function process.wait(event, timeout)
  return events:wait(event, timeout)
end

--- Runs `fn(...)` once the running code has returned to the loop, before any
--- other event. (Node: process.nextTick)
---@param fn function
---@param ... any
function process.next_tick(fn, ...)
  options.argument("next_tick", "fn", fn, options.callback)
  tick.add(fn, ...)
end

local function whole_number(value)
  if not math.type(value) or not math.tointeger(value) then
    return "integer"
  end
end

local function check_exit_code(what, code)
  options.argument(what, "code", code, whole_number)
  return math.tointeger(code)
end

--- Ends the process: the `exit` handlers, then what was written is brought out,
--- then the end. A code given in an `exit` handler wins. Does not return.
---@param code? integer `exit_code`, or 0, where absent; its low eight bits count
function process.exit(code)
  if code ~= nil then
    exit_code = check_exit_code("exit", code)
  end
  loop.exit(exit_code or 0)
end

--- Ends the process by SIGABRT, without handlers.
function process.abort()
  system.abort()
end

exit.set_handler(function(status)
  exit_code = status or exit_code or 0
  status = exit_code
  events:emit("exit", status)
  hold_signals()
  return exit_code or status
end)

loop.set_hook("before_exit", function()
  events:emit("before_exit", exit_code or 0)
end)

loop.set_hook("uncaught", function(err, origin, traceback)
  if events:listener_count "uncaught_exception" == 0 then
    return false
  end
  -- Not by emit: an error in here must reach the host, which ends with 7.
  for _, listener in ipairs(events:_take_listeners "uncaught_exception") do
    listener(err, origin, traceback)
  end
  return true
end)

--- The working directory; nil and ENOENT where it was removed. (getcwd(3))
---@return string? directory
---@return mw.Error? err
function process.cwd()
  local directory, code = system.cwd()
  if not directory then
    return nil, errors.system(code, "getcwd")
  end
  return directory
end

--- Changes the working directory. (chdir(2))
---@param directory string
---@return true? ok
---@return mw.Error? err
function process.chdir(directory)
  options.argument("chdir", "directory", directory, options.name)
  local ok, text, code = uv.chdir(directory)
  if not ok then
    return nil, errors.from_luv(text, code, "chdir " .. directory, { path = directory })
  end
  return true
end

local pid_check = options.integer(-2 ^ 31 | 0, 2 ^ 31 - 1 | 0)

--- Sends a signal to a process, or to a process group: 0 is our own, a negative
--- pid the group of that number. An unknown name raises; a number that is no
--- signal is EINVAL. (kill(2))
---@param pid integer
---@param signal? string|integer "SIGTERM" where absent; 0 only asks whether it is there
---@return true? ok
---@return mw.Error? err ESRCH, EPERM or EINVAL
function process.kill(pid, signal)
  options.argument("kill", "pid", pid, pid_check)
  local number = signals.number("kill", signal == nil and "SIGTERM" or signal)
  if number < 0 or number > signals.highest then
    return nil, errors.system("EINVAL", ("kill %d"):format(pid))
  end
  local ok, text, code = uv.kill(math.tointeger(pid), number)
  if not ok then
    return nil, errors.from_luv(text, code, ("kill %d"):format(pid))
  end
  return true
end

--- Wraps an open descriptor, so that it can be sent to another process: the
--- object has `fd`, `kind`, `close()`, and `stream` where it can be one. Nil and
--- EBADF for a number that is not open. Only mwrun can receive it: a Node program
--- would fail.
---@param fd integer ours or anybody's in this process; closed once it was sent, unless `keep_open` is set there
---@return mw.Descriptor?
---@return mw.Error? err
function process.fd(fd)
  options.argument("fd", "fd", fd, options.integer(0, 2147483647))
  local descriptor, code = require("mw.ipc.descriptor").new(math.tointeger(fd))
  if not descriptor then
    return nil, errors.system(code, ("fd %d"):format(fd))
  end
  return descriptor
end

--- Nanoseconds of a clock that only goes forward, from an unnamed time on.
---@return integer
function process.hrtime()
  return system.hrtime()
end

--- Seconds since the start of the process, with fractions.
---@return number
function process.uptime()
  return system.uptime() / 1e9
end

--- Bytes: `rss` is what the process has in memory, `heap_used` what Lua has.
---@return { rss: integer, heap_used: integer }
function process.memory_usage()
  return { rss = math.tointeger(uv.resident_set_memory()), heap_used = math.floor(collectgarbage "count" * 1024) }
end

local function microseconds(time)
  return time.sec * 1000000 + time.usec
end

local function usage_check(value)
  if type(value) ~= "table" or whole_number(value.user) or whole_number(value.system) then
    return "result of cpu_usage()"
  end
end

--- Microseconds of processor time, since `previous` where it is given.
--- (getrusage(2))
---@param previous? { user: integer, system: integer }
---@return { user: integer, system: integer }
function process.cpu_usage(previous)
  options.optional("cpu_usage", "previous", previous, usage_check)
  local usage = uv.getrusage()
  local before = previous or { user = 0, system = 0 }
  return {
    user = microseconds(usage.utime) - before.user,
    system = microseconds(usage.stime) - before.system,
  }
end

-- Node's names of what getrusage(2) tells.
local resource_names = {
  max_rss = "maxrss",
  shared_memory_size = "ixrss",
  unshared_data_size = "idrss",
  unshared_stack_size = "isrss",
  minor_page_fault = "minflt",
  major_page_fault = "majflt",
  swapped_out = "nswap",
  fs_read = "inblock",
  fs_write = "oublock",
  ipc_sent = "msgsnd",
  ipc_received = "msgrcv",
  signals_count = "nsignals",
  voluntary_context_switches = "nvcsw",
  involuntary_context_switches = "nivcsw",
}

--- What getrusage(2) tells; times in microseconds, `max_rss` in kilobytes.
---@return table<string, integer>
function process.resource_usage()
  local usage = uv.getrusage()
  local result = { user_cpu_time = microseconds(usage.utime), system_cpu_time = microseconds(usage.stime) }
  for name, field in pairs(resource_names) do
    result[name] = usage[field]
  end
  return result
end

--- Reads the file mode creation mask, and sets it where one is given. (umask(2))
---@param mask? integer|string from 0 to 511, or text in octal
---@return integer previous
function process.umask(mask)
  if type(mask) == "string" then
    local number = mask:match "^[0-7]+$" and tonumber(mask, 8)
    options.argument("umask", "mask", number or mask, options.integer(0, 511))
    mask = number
  end
  options.optional("umask", "mask", mask, options.integer(0, 511))
  return system.umask(mask and math.tointeger(mask))
end

--- The real user id. (getuid(2))
---@return integer
function process.getuid()
  return uv.getuid()
end

--- The real group id. (getgid(2))
---@return integer
function process.getgid()
  return uv.getgid()
end

local function set_id(name, set)
  return function(id)
    options.argument(name, "id", id, options.integer(0, 4294967295))
    local ok, code = set(math.tointeger(id))
    if not ok then
      return nil, errors.system(code, ("%s %d"):format(name, id))
    end
    return true
  end
end

--- Changes who the process is: real, effective and saved user id. (setuid(2))
---@type fun(id: integer): true?, mw.Error?
process.setuid = set_id("setuid", system.setuid)

--- The same for the group. (setgid(2))
---@type fun(id: integer): true?, mw.Error?
process.setgid = set_id("setgid", system.setgid)

local function variable_name(value)
  if options.name(value) or value:find("=", 1, true) then
    return "name of a variable"
  end
end

local function variable_value(value)
  local kind = type(value)
  if kind ~= "number" and kind ~= "boolean" and options.text(value) then
    return "string without NUL bytes, number or boolean"
  end
end

process.env = setmetatable({}, {
  __index = function(_, name)
    return not variable_name(name) and os.getenv(name) or nil
  end,
  __newindex = function(_, name, value)
    options.argument("process.env", "name", name, variable_name)
    if value == nil then
      uv.os_unsetenv(name)
      return
    end
    options.argument("process.env", name, value, variable_value)
    uv.os_setenv(name, tostring(value))
  end,
  __pairs = function()
    return pairs(uv.os_environ())
  end,
})

function getters.ppid()
  return math.tointeger(uv.os_getppid())
end

function getters.title()
  return uv.get_process_title()
end

function setters.title(title)
  options.argument("process.title", "title", title, options.text)
  uv.set_process_title(title)
end

function getters.exit_code()
  return exit_code
end

function setters.exit_code(code)
  exit_code = code ~= nil and check_exit_code("process.exit_code", code) or nil
end

local function standard_output(fd, name)
  return function()
    return require("mw.process.standard_output").new(fd, name)
  end
end

-- Made on first use, and then kept as ordinary fields.
local lazy = {
  exec_path = function()
    return uv.exepath()
  end,
  stdin = function()
    return require("mw.process.standard_input").new()
  end,
  stdout = standard_output(1, "stdout"),
  stderr = standard_output(2, "stderr"),
  argv = command_line.argv,
  exec_argv = command_line.exec_argv,
}

start.run(function()
  process.pid = system.pid()
  process.argv, process.exec_argv = nil, nil
  parent.attach(process, events)
end)

return setmetatable(process, {
  __index = function(_, name)
    if getters[name] then
      return getters[name]()
    elseif lazy[name] then
      process[name] = lazy[name]()
      return rawget(process, name)
    end
  end,
  __newindex = function(_, name, value)
    if setters[name] then
      setters[name](value)
    else
      rawset(process, name, value)
    end
  end,
})
