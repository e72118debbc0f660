-- The supervisor: keeps a set of workers alive.

local ClusterBackend = require "mw.supervisor.cluster_backend"
local WorkerSet = require "mw.supervisor.worker_set"
local cluster = require "mw.cluster"
local crash_record = require "mw.supervisor.crash_record"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local heritage = require "mw.supervisor.heritage"
local image = require "mw.core.image"
local inheritance = require "mw.supervisor.inheritance"
local journal = require "mw.supervisor.journal"
local msgpack = require "mw.msgpack"
local notifications = require "mw.supervisor.notifications"
local operations = require "mw.supervisor.operations"
local options = require "mw.options"
local process = require "mw.process"
local settings = require "mw.supervisor.settings"
local signals = require "mw.supervisor.signals"
local succession = require "mw.supervisor.succession"
local task = require "mw.task"
local tick = require "mw.tick"
local timers = require "mw.timers"

---@class mw.Supervisor: mw.Emitter
---@field private _set mw.WorkerSet
---@field private _has_successor boolean? the next image of this process waits until it can run
local Supervisor = emitter.class "mw.supervisor"

local clock = {}

function clock.now()
  return process.hrtime() // 1000000
end

function clock.after(_, ms, fn)
  return timers.set_timeout(fn, ms)
end

function clock.every(_, ms, fn)
  return timers.set_interval(fn, ms):unref()
end

local function crash_of(worker, failure)
  local crash = worker:describe(clock.now())
  crash.time = os.time()
  for name, value in pairs(failure) do
    crash[name] = value
  end
  crash.output, crash.messages = worker.handle.output and worker.handle.output:last_lines(), worker.messages
  return crash
end

local function recorder(directory)
  return function(worker, failure)
    local path, err = crash_record.write(directory, crash_of(worker, failure))
    journal.log(path and "crash record: " .. path or tostring(err))
  end
end

local function nothing() end

-- What was told is told, and then it is over.
local function over(self, has_given_up)
  self._stop_following()
  for _, source in ipairs(self._sources) do
    source:close()
  end
  if self._survival then
    self._survival:close()
  end
  if has_given_up then
    tick.add(process.exit, 1)
  end
end

-- Few use these: they are loaded where they are asked for.

local function watch(self, all)
  return require("mw.supervisor.live_reload").start(all, {
    clock = clock,
    log = journal.log,
    reload = function(done)
      self:reload(done)
    end,
  })
end

---@class mw.NotifierHost
---@field clock mw.SupervisorClock
---@field log fun(text: string)
---@field notify fun(value: any)
---@field restart table the options of the restart policy

local function start_notifier(self, all)
  local host = {
    clock = clock,
    log = journal.log,
    restart = all.restart,
    notify = function(value)
      self:notify(value)
    end,
  }
  if all.notifier.file then
    return require("mw.supervisor.file_notifier").start(all.notifier, host)
  end
  local notifier = require("mw.supervisor.script_notifier").start(all.notifier, host)
  self:on("reload", function(ok)
    if ok then
      notifier:reload()
    end
  end)
  return notifier
end

-- What may ask for something by itself, until all is over.
local function start_sources(self, all)
  self._sources = {}
  if all.notifier then
    table.insert(self._sources, start_notifier(self, all))
  end
  if all.watch then
    table.insert(self._sources, watch(self, all))
  end
end

local M = { notified = notifications.notified }

--- Starts workers and keeps them alive; `opts` must have `script`. The object
--- emits, each with a worker `w` that has id, slot, pid and state: `online` (w),
--- `ready` (w), `exit` (w, code, signal), `restart` (w, delay), `hung` (w,
--- traceback); and `reload` (ok, err), `rollback` (err), `give_up` (reason).
---
--- `args`, the script's arguments; `workers` (as many as there are processors),
--- or "auto"; `restart` = { limit = 5, window = 60000, delay = 100, max_delay =
--- 30000 }: so many restarts of a slot in the window; a worker that was ready is
--- replaced at once, one that never was after a growing delay, past the limit
--- every max_delay; `ready` = "listening", or "message": it sends "ready", or
--- "script": a script that asks for no port is ready once it runs, and when it
--- ends, is run again by a reload only;
--- `ready_timeout` (10000), `graceful_timeout` (5000); `heartbeat` = { interval =
--- 1000, timeout = 10000 }; `stall_warning` (1000, 0 for none): longer stalls of
--- a loop are counted; `max_memory`, `max_requests`, `max_lifetime`: reaching
--- one, a worker is replaced; `preload`, modules that are loaded once for all
--- workers, which then share that memory: `max_memory` is of PSS then, else of
--- RSS; `scheduling_policy`, as of the cluster; `output` = "plain", "prefix" or "json": how their
--- lines are passed on, `output_budget` (1 MiB) bytes a second of each worker;
--- `crash_dir`: a file a crash goes there; `watch`: reload when Lua files in the
--- script's folder or below change (true), or any files of a list of files and
--- folders; names that begin with a dot are left out. `notifier` = { file = … }, or
--- { script = …, args = … }: the file's text, in a .json file what that stands
--- for, or each message that the script sends by process.send(), is told to all
--- workers whenever it has changed, and to each new one: supervisor.notified(fn).
--- `survive`: workers go on to serve when this process is killed, and the next
--- that calls this takes them over, by what stands in a folder: the one of that
--- name, or with true ".NAME.state" beside the script. Raises where it can't be
--- had, ERR_SUPERVISOR_STATE where another master has it.
---@param opts table
---@return mw.Supervisor
function M.start(opts)
  if not cluster.is_master then
    errors.misuse "supervisor.start: a worker can't supervise others: its master does"
  end
  local all = settings.complete("supervisor.start", opts)
  local self = setmetatable({}, Supervisor)
  self._survival = all.survive and require("mw.supervisor.survival").open(all)
  self._set = WorkerSet.new(all, {
    backend = ClusterBackend.new(all, clock),
    clock = clock,
    random = math.random,
    emit = function(...)
      self:emit(...)
    end,
    log = journal.log,
    record = all.crash_dir and recorder(all.crash_dir) or nothing,
    on_settled = function()
      if self._survival then
        self._survival:keep()
      end
    end,
    on_over = function(has_given_up)
      over(self, has_given_up)
    end,
  })
  local from = inheritance.take()
  if from then
    heritage.adopt(self._set, from)
    journal.log(("the master runs anew, with %d workers of before"):format(#from.workers))
  end
  if self._survival then
    self._survival:begin(self._set)
  end
  self._stop_following = signals.follow(self)
  image.hold_signals(false)
  start_sources(self, all)
  self._set:reconcile()
  return self
end

-- An operation in both forms, with a callback and without.
local function answer(self, what, callback, name, ...)
  options.optional(name, "callback", callback, options.callback)
  local arguments = table.pack(...)
  return task.answer(what, callback, function(done)
    local function tell(err, ok)
      tick.add(done, err, ok)
    end
    arguments[arguments.n + 1] = tell
    operations[name](self._set, table.unpack(arguments, 1, arguments.n + 1))
  end)
end

--- Replaces all workers by new ones, for which script and environment are read
--- again; the old ones stop when all new ones are ready. Nil and an error where
--- one of them ends or is not ready in time: then the old ones go on. One
--- reload at a time; it lasts until the old ones have ended.
---@param callback? fun(err: mw.Error?, ok: true?)
---@return true? ok
---@return mw.Error? err
function Supervisor:reload(callback)
  return answer(self, "a reload", callback, "reload")
end

--- Keeps so many workers from now on; waits until they are ready, and the
--- others gone. Nil and an error where a new one fails; it is tried again.
---@param count integer at least 1
---@param callback? fun(err: mw.Error?, ok: true?)
---@return true? ok
---@return mw.Error? err
function Supervisor:scale(count, callback)
  options.argument("scale", "count", count, options.integer(1))
  return answer(self, "the workers to be as many", callback, "scale", math.tointeger(count))
end

--- Replaces one worker, and waits until it has gone.
---@param id integer
---@param callback? fun(err: mw.Error?, ok: true?)
---@return true? ok
---@return mw.Error? err
function Supervisor:restart(id, callback)
  options.argument("restart", "id", id, options.integer(1))
  return answer(self, "a restart", callback, "restart", math.tointeger(id))
end

--- Asks all workers to stop, kills those that have not after graceful_timeout,
--- and waits for their end. May be called again.
---@param callback? fun(err: nil, ok: true)
---@return true
function Supervisor:stop(callback)
  return answer(self, "the workers' end", callback, "stop")
end

-- Processes that the next image starts anew.
local function helpers_of(self)
  local pids = {}
  for _, source in ipairs(self._sources) do
    pids[#pids + 1] = source.pid and source:pid()
  end
  return pids
end

--- Runs the file of this process again, in the same process: the workers stay,
--- also where that fails. What else the script has is closed.
function Supervisor:_run_again()
  if self._has_successor then
    return
  end
  self._has_successor = true
  local function helpers()
    return helpers_of(self)
  end
  succession.begin(self._set, helpers, function(err)
    self._has_successor = false
    journal.log(tostring(err))
  end)
end

--- Tells all workers a value, and those to come; they hear it by
--- supervisor.notified(fn). What they have been told last is not told again.
---@param value any what a message may hold
function Supervisor:notify(value)
  options.argument("notify", "value", value, function(given)
    return given == nil and "value" or nil
  end)
  self._set:notify(msgpack.encode(value))
end

--- Ends all workers at once; those of a set that does not stop start again.
function Supervisor:kill()
  self._set:kill()
end

--- Whether it stops, or has stopped.
---@return boolean
function Supervisor:is_stopping()
  return self._set.is_stopping
end

--- How many workers are wanted.
---@return integer
function Supervisor:worker_count()
  return self._set.wanted
end

local function describe_all(set)
  local list = {}
  for index, worker in ipairs(set:list()) do
    list[index] = worker:describe(clock.now())
  end
  return list
end

local function at_once(what, callback, get)
  options.optional(what, "callback", callback, options.callback)
  if callback then
    tick.add(callback, nil, get())
    return
  end
  return get()
end

--- The workers whose processes have not ended, in the order of their slots:
--- id, pid, slot, generation, state ("starting", "ready", "stopping"), uptime,
--- memory, lua_heap, requests, stalls, last_stall = { place, duration }.
---@param callback? fun(err: nil, workers: table[])
---@return table[]
function Supervisor:workers(callback)
  return at_once("workers", callback, function()
    return describe_all(self._set)
  end)
end

--- `workers` as above, the `generation`, how many `restarts` after failures
--- there were, and whether a `reload` is under way.
---@param callback? fun(err: nil, status: table)
---@return table
function Supervisor:status(callback)
  return at_once("status", callback, function()
    local set = self._set
    return {
      workers = describe_all(set),
      wanted = set.wanted,
      generation = set.generation,
      restarts = set.restarts,
      reloading = set.reload ~= nil,
    }
  end)
end

return M
