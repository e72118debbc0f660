-- A set of workers that is kept as it is wanted. Knows no processes: it tells a
-- backend to start, stop and kill, hears from it what becomes of them, and has
-- its time from a clock.

local Heartbeat = require "mw.supervisor.heartbeat"
local Worker = require "mw.supervisor.worker"
local actions = require "mw.supervisor.actions"
local limits = require "mw.supervisor.limits"
local reconciler = require "mw.supervisor.reconciler"
local states = require "mw.supervisor.states"

--- What starts workers and talks to them. `report` tells what becomes of one,
--- by these events, never before `start` has returned:
---   "online"                      its runtime is up
---   "listening"                   it listens to its first address
---   "running"                     its script has returned to the loop, and has asked for no port
---   "message", value              it has sent a message
---   "beat", vitals                its loop turns; vitals may have memory, lua_heap, requests (all so far),
---                                 stalls, last_stall
---   "leaving", why                it will end by itself, after what is under way
---   "exit", code, signal, words   it has ended; both nil where it could not be started; the last lines that
---                                 it wrote, or why it did not start. Once, and nothing after it
---@class mw.SupervisorBackend
---@field start fun(self, slot: integer, generation: integer, report: fun(event: string, ...: any)): handle: table the
--- handle has `id` (1, 2, 3, …, never used again) and `pid` (nil where it could not be started)
---@field activate fun(self, handle: table) it is ready: it may be given connections, and was given none before
---@field ask_stop fun(self, handle: table) takes no more work, finishes what is under way, ends
---@field kill fun(self, handle: table) ends it at once; harmless after its end
---@field refresh fun(self, done: fun(err: mw.Error?)) reads anew what it keeps for workers to come
---@field keep_ports fun(self, is_due: fun(): boolean) lets nobody be refused as long as a worker is due
---@field close fun(self) none will come any more
---@field notify fun(self, handle: table, bytes: string) tells it a value, in MessagePack; harmless after its end
---@field traceback fun(self, handle: table, done: fun(text: string)) where its code is stuck; `done` comes once, soon,
--- whatever happens, and not before this has returned

---@class mw.SupervisorClock
---@field now fun(self): integer milliseconds, only forward
---@field after fun(self, ms: integer, fn: fun()): { close: fun(self) } once
---@field every fun(self, ms: integer, fn: fun()): { close: fun(self) } does not keep the loop alive

--- All that a set has from outside.
---@class mw.SupervisorHost
---@field backend mw.SupervisorBackend
---@field clock mw.SupervisorClock
---@field random fun(): number from 0 to 1
---@field emit fun(event: string, ...: any)
---@field log fun(text: string)
---@field record fun(worker: mw.SupervisedWorker, failure: mw.WorkerFailure)
---@field on_settled fun() all that had to be done is done, for now
---@field on_over fun(has_given_up: boolean) all workers have ended, and there will be no more

---@class mw.WorkerSet: mw.SupervisorHost
---@field slots mw.Slot[]
---@field workers table<mw.SupervisedWorker, true> all whose process has not ended
---@field wanted integer how many are to be there
---@field generation integer what new workers are, outside a reload
---@field restarts integer starts after failures, so far
---@field was_ready boolean whether any worker ever was
---@field reload table? the one that is under way
---@field notification string? the value that all workers have been told, in MessagePack
---@field is_stopping boolean
---@field is_gathering boolean? workers of a master before are still to come: until then nothing is done
---@field is_handing_on boolean? to the next image of the master: no reload begins, those that wait are for that
local WorkerSet = {}
WorkerSet.__index = WorkerSet

--- Makes a set; reconcile() starts it.
---@param settings table all of them
---@param host mw.SupervisorHost
---@return mw.WorkerSet
function WorkerSet.new(settings, host)
  local self = setmetatable({
    settings = settings,
    slots = {},
    workers = {},
    wanted = settings.workers,
    generation = 1,
    last_generation = 1,
    restarts = 0,
    was_ready = false,
    is_stopping = false,
    is_over = false,
    has_given_up = false,
    reloads = {},
    waits = {},
  }, WorkerSet)
  for name, value in pairs(host) do
    self[name] = value
  end
  self._heartbeat = Heartbeat.new(settings.heartbeat)
  self._checks = self.clock:every(self._heartbeat.period, function()
    self:_find_hung()
  end)
  self.backend:keep_ports(function()
    return self:is_due()
  end)
  return self
end

--- Whether a worker is to come soon, in a place that nobody has: not past the
--- limit, where it takes long and is of little hope.
---@return boolean
function WorkerSet:is_due()
  if self.is_stopping then
    return false
  end
  for _, slot in ipairs(self.slots) do
    if not slot.holder and not slot.policy.is_past_limit and not slot:is_done(self.generation) then
      return true
    end
  end
  return false
end

--- The slot in which a worker has its place, or is to get it.
---@param worker mw.SupervisedWorker
---@return mw.Slot?
function WorkerSet:slot_of(worker)
  local slot = self.slots[worker.slot]
  return slot and slot:has(worker) and slot or nil
end

--- All workers, in the order of their slots.
---@return mw.SupervisedWorker[]
function WorkerSet:list()
  local list = {}
  for worker in pairs(self.workers) do
    list[#list + 1] = worker
  end
  table.sort(list, function(a, b)
    return a.slot < b.slot or (a.slot == b.slot and a.id < b.id)
  end)
  return list
end

--- Brings the set nearer to what is wanted.
function WorkerSet:reconcile()
  reconciler.run(self)
end

--- Tells of something that has happened to a worker, or is to.
---@param worker mw.SupervisedWorker
---@param event string
---@param ... any
function WorkerSet:signal(worker, event, ...)
  local state, action = states.step(worker.state, event)
  if state then
    worker.state = state
    actions[action](self, worker, ...)
    self:reconcile()
  end
end

-- What backends report -------------------------------------------------------

local reports = {}

function reports.listening(self, worker)
  worker.is_plain = nil
  if self.settings.ready ~= "message" then
    self:signal(worker, "ready")
  end
end

function reports.running(self, worker)
  if self.settings.ready == "script" then
    worker.is_plain = true
    self:signal(worker, "ready")
  end
end

-- A script that is no server may take as long as it likes.
function reports.late(self, worker)
  if self.settings.ready == "script" then
    return reports.running(self, worker)
  end
  self:signal(worker, "late")
end

function reports.message(self, worker, value)
  worker:remember(value)
  if self.settings.ready == "message" and value == "ready" then
    self:signal(worker, "ready")
  end
end

function reports.beat(self, worker, vitals)
  local now = self.clock:now()
  worker.last_beat, worker.vitals = now, vitals
  if worker.state == "ready" and not worker.replace_reason then
    worker.replace_reason = limits.reason(worker.limits, worker:use(now))
    self:reconcile()
  end
end

--- Lets something happen to a worker unless its state changes in time.
---@param worker mw.SupervisedWorker
---@param ms integer
---@param event string
function WorkerSet:limit_time(worker, ms, event)
  worker:set_timer(
    self.clock:after(ms, function()
      self:reporter(worker)(event)
    end),
    self.clock:now() + ms
  )
end

--- Lets no worker start in a slot for a while.
---@param slot mw.Slot
---@param ms integer
function WorkerSet:rest(slot, ms)
  slot:set_timer(
    self.clock:after(ms, function()
      slot:set_timer()
      self:reconcile()
    end),
    self.clock:now() + ms
  )
end

--- The function by which a backend tells what becomes of a worker.
---@param worker mw.SupervisedWorker
---@return fun(event: string, ...: any)
function WorkerSet:reporter(worker)
  return function(event, ...)
    if reports[event] then
      reports[event](self, worker, ...)
    else
      self:signal(worker, event, ...)
    end
  end
end

--- Starts a worker for a slot.
---@param slot mw.Slot
---@param role "holder"|"successor"
---@param generation integer
function WorkerSet:start(slot, role, generation)
  local settings = self.settings
  local worker = Worker.new(slot.number, generation, self.clock:now(), limits.draw(settings, self.random))
  slot[role] = worker
  self.workers[worker] = true
  self:limit_time(worker, settings.ready_timeout, "late")
  worker:take_handle(self.backend:start(slot.number, generation, self:reporter(worker)))
  if self.notification then
    self.backend:notify(worker.handle, self.notification)
  end
end

--- Tells all workers a value, and those to come; what they know is no news.
---@param bytes string in MessagePack
function WorkerSet:notify(bytes)
  if bytes == self.notification then
    return
  end
  self.notification = bytes
  for worker in pairs(self.workers) do
    self.backend:notify(worker.handle, bytes)
  end
end

function WorkerSet:_find_hung()
  local ready = {}
  for worker in pairs(self.workers) do
    if worker.state == "ready" and not worker.is_plain then
      ready[#ready + 1] = worker
    end
  end
  for _, worker in ipairs(self._heartbeat:hung(self.clock:now(), ready)) do
    self:signal(worker, "hung")
  end
end

-- Failures -------------------------------------------------------------------

---@class mw.WorkerFailure
---@field why string a sentence
---@field code integer? how it ended, where it has
---@field signal string?
---@field traceback string?

local function count(self, slot, worker, failure)
  local delay = slot:failed(self.clock:now(), worker, failure.code, failure.why)
  self.restarts = self.restarts + 1
  slot:set_timer()
  if delay > 0 then
    self:rest(slot, delay)
  end
  self.emit("restart", worker, delay)
end

--- Whether a worker's script is no server, as far as one knows: it is not run
--- again before files change.
---@param worker mw.SupervisedWorker
---@return boolean
function WorkerSet:is_plain(worker)
  return self.settings.ready == "script" and (worker.is_plain or not worker.ready_at)
end

--- A script has run to its end, as it should.
---@param worker mw.SupervisedWorker
function WorkerSet:finish(worker)
  local slot = self:slot_of(worker)
  if slot then
    slot.done_generation = worker.generation
    self.was_ready = true
    self.log(("%s has ended: it runs again when a file changes"):format(worker))
  end
end

--- A worker that still has its place ends, or will, and nobody had asked it to.
---@param worker mw.SupervisedWorker
---@param failure mw.WorkerFailure
function WorkerSet:fail(worker, failure)
  self.log(failure.why)
  self.record(worker, failure)
  local slot, reload = self:slot_of(worker), self.reload
  if not slot or self.is_stopping then
    return
  elseif reload and worker.generation == reload.generation and slot.successor == worker then
    reload.failure = reload.failure or failure.why
  elseif self:is_plain(worker) then
    slot.done_generation = worker.generation
    self.log "it runs again when a file changes"
  else
    count(self, slot, worker, failure)
  end
end

--- Calls `done(err, true)` once `condition` holds, which is asked whenever
--- something has changed; it returns true, or nil and an error.
---@param condition fun(): true?, mw.Error?
---@param done fun(err: mw.Error?, ok: true?)
function WorkerSet:wait_until(condition, done)
  table.insert(self.waits, { condition = condition, done = done })
  self:reconcile()
end

--- Stops for good: the first workers of all don't get ready.
---@param why string
function WorkerSet:give_up(why)
  self.is_stopping = true
  self.has_given_up = true
  self.log("no worker was ever ready, giving up: " .. why)
  self.emit("give_up", why)
  self:reconcile()
end

--- Ends all at once, without asking them.
function WorkerSet:kill()
  for worker in pairs(self.workers) do
    self.backend:kill(worker.handle)
  end
end

--- Lets go of the clock: all workers have ended.
function WorkerSet:close()
  self._checks:close()
  self.backend:close()
  self.is_over = true
  self.on_over(self.has_given_up)
end

return WorkerSet
