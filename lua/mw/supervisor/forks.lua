-- A backend of the supervisor: workers by child_process.fork, which share
-- nothing. (mw.supervisor.worker_set says what a backend is.)

local Output = require "mw.supervisor.output"
local Tracer = require "mw.supervisor.tracer"
local child_process = require "mw.child_process"
local inside = require "mw.supervisor.inside"
local memory = require "mw.supervisor.memory"
local process = require "mw.process"
local watchdog = require "mw.core.watchdog"

---@class mw.ForkBackend: mw.SupervisorBackend
local Forks = {}
Forks.__index = Forks

-- Behind the three standard streams and the channel.
local report_descriptor = 4

-- For what is left to read after a worker's end, in milliseconds.
local patience = 100

---@class mw.ForkHandle
---@field id integer
---@field slot integer
---@field pid integer?
---@field child mw.Child
---@field output mw.WorkerOutput
---@field tracer mw.Tracer

---@param settings table of the supervisor
---@param clock mw.SupervisorClock
---@return mw.ForkBackend
function Forks.new(settings, clock)
  return setmetatable({ _settings = settings, _clock = clock, _last_id = 0 }, Forks)
end

local function environment(settings)
  local env = {}
  for name, value in pairs(process.env) do
    env[name] = value
  end
  env.MW_SUPERVISED = inside.variable(settings, report_descriptor)
  return env
end

local function fork(settings)
  local exec_argv = table.move(process.exec_argv, 1, #process.exec_argv, 1, {})
  table.insert(exec_argv, "-e")
  table.insert(exec_argv, 'require("mw.supervisor.inside").start()')
  return child_process.fork(settings.script, settings.args, {
    exec_argv = exec_argv,
    env = environment(settings),
    stdio = { "ignore", "pipe", "pipe", "ipc", "pipe" },
  })
end

local function write(stream, text)
  process[stream]:write(text)
end

local function follow_output(self, handle)
  local child = handle.child
  handle.output = Output.new(handle, {
    form = self._settings.output,
    budget = self._settings.output_budget,
    write = write,
    now = function()
      return self._clock:now()
    end,
  })
  for _, stream in ipairs { "stdout", "stderr" } do
    child[stream]:on("data", function(piece)
      handle.output:push(stream, piece)
    end)
  end
end

-- By whichever of its two ways a worker is heard first.
local function online_once(report)
  local is_online = false
  return function()
    if not is_online then
      is_online = true
      report "online"
    end
  end
end

local function follow_reports(self, handle, tell_online)
  handle.tracer = Tracer.new({
    kick = function()
      handle.child:kill(watchdog.signal)
    end,
    on_open = tell_online,
  }, self._clock)
  handle.child.stdio[report_descriptor]:on("data", function(piece)
    handle.tracer:push(piece)
  end)
end

-- What the worker's runtime says, by `act`.
local acts = {}

function acts.beat(handle, report, envelope)
  report("beat", {
    memory = memory.rss(handle.pid),
    lua_heap = envelope.lua_heap,
    requests = envelope.requests,
    stalls = envelope.stalls,
    last_stall = envelope.last_stall,
  })
end

local function follow_channel(handle, report, tell_online)
  local child = handle.child
  child.channel:on_command("NODE_SUPERVISOR", function(envelope)
    tell_online()
    if acts[envelope.act] then
      acts[envelope.act](handle, report, envelope)
    end
  end)
  child:on("message", function(message)
    tell_online()
    report("message", message)
  end)
end

local function close_streams(child)
  for _, stream in pairs(child.stdio) do
    stream:destroy()
  end
end

-- The end is told when all that was written has been read; where somebody else
-- still has the other ends of the pipes, after a moment.
local function follow_end(self, handle, report)
  local child = handle.child
  local timer, failure
  child:on("error", function(err)
    failure = failure or err
  end)
  child:on("exit", function()
    timer = self._clock:after(patience, function()
      close_streams(child)
    end)
  end)
  child:on("close", function(code, signal)
    if not handle.pid then
      return report("exit", nil, nil, tostring(failure))
    end
    timer:close()
    handle.tracer:close()
    handle.output:finish()
    report("exit", code, signal, table.concat(handle.output:last_lines(), "\n"))
  end)
end

---@return mw.ForkHandle
function Forks:start(slot, _, report)
  self._last_id = self._last_id + 1
  local child = fork(self._settings)
  local handle = { id = self._last_id, slot = slot, pid = child.pid, child = child }
  if child.pid then
    follow_output(self, handle)
    local tell_online = online_once(report)
    follow_reports(self, handle, tell_online)
    follow_channel(handle, report, tell_online)
  end
  follow_end(self, handle, report)
  return handle
end

--- By SIGTERM: a script that has something to finish listens to it.
function Forks.ask_stop(_, handle)
  handle.child:kill "SIGTERM"
end

--- With all that descends from it.
function Forks.kill(_, handle)
  handle.child:kill_tree "SIGKILL"
end

function Forks.traceback(_, handle, done)
  handle.tracer:ask(done)
end

return Forks
