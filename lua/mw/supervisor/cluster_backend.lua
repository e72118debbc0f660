-- The backend of the supervisor: workers of a cluster, which share ports.
-- (mw.supervisor.worker_set says what a backend is.)

local Output = require "mw.supervisor.output"
local Tracer = require "mw.supervisor.tracer"
local cluster = require "mw.cluster"
local fork_server = require "mw.fork_server"
local inside = require "mw.supervisor.inside"
local journal = require "mw.supervisor.journal"
local listeners = require "mw.cluster.master.listeners"
local memory = require "mw.supervisor.memory"
local notifications = require "mw.supervisor.notifications"
local process = require "mw.process"
local streams = require "mw.supervisor.streams"
local timers = require "mw.timers"
local watchdog = require "mw.core.watchdog"

---@class mw.ClusterBackend: mw.SupervisorBackend
local ClusterBackend = {}
ClusterBackend.__index = ClusterBackend

-- For what is left to read after a worker's end, in milliseconds: altogether, and
-- for more to come.
local patience, moment = 100, 5

---@class mw.ClusterHandle
---@field id integer
---@field slot integer
---@field pid integer?
---@field worker mw.MasterWorker
---@field output mw.WorkerOutput
---@field tracer mw.Tracer
---@field measure fun(pid: integer): integer? its memory
---@field is_asked boolean? to stop
---@field received integer bytes of its output
---@field timer table? runs while its end is not told

---@param settings table of the supervisor
---@param clock mw.SupervisorClock
---@return mw.ClusterBackend
function ClusterBackend.new(settings, clock)
  return setmetatable({ _settings = settings, _clock = clock }, ClusterBackend)
end

local function set_up(settings)
  listeners.lends_sockets = settings.survive ~= nil
  cluster.setup_master {
    exec = settings.script,
    args = settings.args,
    preload = settings.preload,
    scheduling_policy = settings.scheduling_policy,
    stdio = streams.stdio(settings.survive ~= nil),
    die_with_parent = settings.survive == nil,
  }
end

local function fork(settings, slot)
  set_up(settings)
  return cluster._fork({ MW_SUPERVISED = inside.variable(settings, streams.report_descriptor) }, slot)
end

-- A worker of an earlier image of the master may have closed its end.
local function follow_stream(stream, take)
  if stream then
    stream:on("data", take)
  end
end

local function follow_output(self, handle)
  local child = handle.worker.process
  handle.output = Output.new(handle, {
    form = self._settings.output,
    budget = self._settings.output_budget,
    write = journal.write,
    now = function()
      return self._clock:now()
    end,
  })
  for _, stream in ipairs { "stdout", "stderr" } do
    follow_stream(child[stream], function(piece)
      handle.received = handle.received + #piece
      handle.output:push(stream, piece)
    end)
  end
end

local function follow_reports(self, handle)
  local child = handle.worker.process
  handle.tracer = Tracer.new(function()
    child:kill(watchdog.signal)
  end, self._clock)
  follow_stream(child.stdio[streams.report_descriptor], function(piece)
    handle.tracer:push(piece)
  end)
end

-- What the worker's side of us says, by `act`. A worker's script may be
-- anybody's: what is no number is as good as none.
local acts = {}

local function integer(value)
  return math.type(value) == "integer" and value or nil
end

local function stall_of(value)
  if type(value) == "table" and type(value.place) == "string" and integer(value.duration) then
    return { place = value.place, duration = value.duration }
  end
end

function acts.beat(handle, report, envelope)
  report("beat", {
    memory = handle.measure(handle.pid),
    lua_heap = integer(envelope.lua_heap),
    requests = integer(envelope.requests),
    stalls = integer(envelope.stalls),
    last_stall = stall_of(envelope.last_stall),
  })
end

function acts.running(_, report)
  report "running"
end

function acts.leaving(_, report, envelope)
  report("leaving", tostring(envelope.why))
end

local function follow_worker(handle, report)
  local worker = handle.worker
  local channel = worker.process.channel
  if channel then
    channel:on_command("NODE_SUPERVISOR", function(envelope)
      local act = acts[envelope.act]
      if act then
        act(handle, report, envelope)
      end
    end)
  end
  for _, event in ipairs { "online", "listening", "message" } do
    worker:on(event, function(value)
      report(event, value)
    end)
  end
  worker:on("leaving", function()
    if not handle.is_asked then
      report("leaving", "it has left the cluster")
    end
  end)
end

local function close_streams(child)
  for _, stream in pairs(child.stdio) do
    stream:destroy()
  end
end

-- What a worker has written is in the pipes when it has ended. Where somebody
-- else still has their other ends, they are closed once they are empty.
local function close_when_read(self, handle, deadline)
  local before = handle.received
  local function look()
    if not handle.timer then
      return
    elseif handle.received == before or self._clock:now() > deadline then
      return close_streams(handle.worker.process)
    end
    close_when_read(self, handle, deadline)
  end
  handle.timer = self._clock:after(moment, function()
    timers.set_immediate(look) -- the loop has read what was there
  end)
end

-- The end is told when all that was written has been read.
local function follow_end(self, handle, report)
  local child = handle.worker.process
  local failure
  handle.worker:on("error", function(err)
    failure = failure or err
  end)
  child:on("exit", function()
    close_when_read(self, handle, self._clock:now() + patience)
  end)
  child:on("close", function(code, signal)
    if not handle.pid then
      return report("exit", nil, nil, tostring(failure))
    end
    handle.timer:close()
    handle.timer = nil
    handle.tracer:close()
    handle.output:finish()
    report("exit", code, signal, table.concat(handle.output:last_lines(), "\n"))
  end)
end

local function handle_of(self, worker)
  return {
    id = worker.id,
    slot = worker.slot,
    pid = worker.process.pid,
    worker = worker,
    received = 0,
    -- Workers that share memory would count it each.
    measure = self._settings.preload and memory.pss or memory.rss,
  }
end

local function follow(self, handle, report)
  if handle.pid then
    follow_output(self, handle)
    follow_reports(self, handle)
    follow_worker(handle, report)
  end
  follow_end(self, handle, report)
end

---@return mw.ClusterHandle
function ClusterBackend:start(slot, _, report)
  local worker = fork(self._settings, slot)
  local handle = handle_of(self, worker)
  if handle.pid then
    listeners.set_active(worker, false)
  end
  follow(self, handle, report)
  return handle
end

-- The next image ------------------------------------------------------------------

--- Lets nothing new begin between the master and its workers, or again.
---@param paused boolean
function ClusterBackend.set_paused(_, paused)
  cluster._set_paused(paused)
end

--- Whether nothing is under way between the master and its workers.
---@param handles mw.ClusterHandle[] those that it has started
function ClusterBackend.is_quiet(_, handles)
  for _, handle in ipairs(handles) do
    if handle.tracer:is_asking() then
      return false
    end
  end
  return cluster._is_quiet()
end

--- Whether there are others in the cluster, of whom nobody here would know.
---@param handles mw.ClusterHandle[]
function ClusterBackend.has_strangers(_, handles)
  local count = 0
  for _ in pairs(cluster.workers) do
    count = count + 1
  end
  return count > #handles
end

---@class mw.BackendHeritage
---@field cluster mw.ClusterHeritage
---@field handles table<integer, table> by the worker's id

---@param handles mw.ClusterHandle[]
---@return mw.BackendHeritage
function ClusterBackend.heritage(_, handles)
  local from = { cluster = cluster._heritage(), handles = {} }
  for _, handle in ipairs(handles) do
    from.handles[handle.id] = {
      output = handle.output:heritage(),
      tracer = handle.tracer:heritage(),
      is_asked = handle.is_asked == true,
    }
  end
  return from
end

--- Goes on with all that an earlier image of the master has had.
---@param from mw.BackendHeritage
function ClusterBackend:adopt(from)
  set_up(self._settings)
  cluster._adopt(from.cluster)
  self._adopted = from.handles
end

--- The handle of a worker that was adopted; `report` is told of it from now on.
---@param id integer
---@param report fun(event: string, ...: any)
---@return mw.ClusterHandle
function ClusterBackend:resume(id, report)
  local handle, from = handle_of(self, cluster.workers[id]), self._adopted[id]
  handle.is_asked = from.is_asked
  follow(self, handle, report)
  handle.output:adopt(from.output)
  handle.tracer:adopt(from.tracer)
  return handle
end

-- The next master -----------------------------------------------------------------

--- Gives no id up to this one to a new worker.
---@param last integer
function ClusterBackend.skip_ids(_, last)
  cluster._skip_ids(last)
end

--- Goes on with a worker whose master is gone, from the moment when it has
--- connected to us. `done` is called when its ports are ours.
---@param from mw.StateOfWorker
---@param stranger integer the descriptor that stands for the process
---@param descriptor integer the connection
---@param done fun()
function ClusterBackend:take_over(from, stranger, descriptor, done)
  set_up(self._settings)
  local ours, theirs = streams.open()
  local worker = cluster._take_over {
    id = from.id,
    slot = from.slot,
    state = "online",
    is_online = true,
    child = {
      pid = from.pid,
      file = process.exec_path,
      args = {},
      killed = false,
      stranger = { fd = stranger },
      channel = { fd = descriptor },
      streams = ours,
    },
  }
  self._adopted = self._adopted or {}
  self._adopted[from.id] = {
    output = { kept = {}, stdout = "", stderr = "" },
    tracer = { is_open = true, rest = "" },
    is_asked = false,
  }
  streams.give(worker, theirs)
  worker._link:send({ act = "rejoin" }, nil, done)
end

--- Whether it is still there.
---@param id integer
---@return boolean
function ClusterBackend.has(_, id)
  local worker = cluster.workers[id]
  return worker ~= nil and not worker:is_dead() and worker:is_connected()
end

--- Asks a worker to end that looks for its master, and is not ours.
---@param descriptor integer the connection
function ClusterBackend.turn_away(_, descriptor)
  cluster._turn_away(descriptor)
end

-- Orders -----------------------------------------------------------------------

-- At once: a worker that has not heard it does not survive us.
function ClusterBackend.activate(_, handle)
  listeners.set_active(handle.worker, true)
  local channel = handle.worker.process.channel
  if channel then
    channel:flush()
  end
end

--- It gets no more connections and closes its servers; it ends when nothing
--- keeps it alive any more.
function ClusterBackend.ask_stop(_, handle)
  handle.is_asked = true
  listeners.set_active(handle.worker, false)
  handle.worker:disconnect()
end

--- With all that descends from it.
function ClusterBackend.kill(_, handle)
  handle.worker.process:kill_tree "SIGKILL"
end

--- Modules that are preloaded are loaded again.
function ClusterBackend:refresh(done)
  if not self._settings.preload then
    return done()
  end
  fork_server.replace(done)
end

function ClusterBackend:keep_ports(is_due)
  self._is_due = is_due
  listeners.keep(is_due)
end

function ClusterBackend:close()
  listeners.keep_no_more(self._is_due)
  if self._settings.preload then
    fork_server.replace()
  end
end

function ClusterBackend.notify(_, handle, bytes)
  local channel = handle.worker.process.channel
  if channel then
    channel:tell { cmd = notifications.command, bytes = bytes }
  end
end

function ClusterBackend.traceback(_, handle, done)
  handle.tracer:ask(done)
end

return ClusterBackend
