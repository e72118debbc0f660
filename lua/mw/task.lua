-- Tasks: coroutines that wait for answers without stopping the loop, and the
-- one function, `await`, through which everything that waits waits: in a task
-- by suspending it, in the main script by running the loop.

local errors = require "mw.error"
local loop = require "mw.core.loop"
local options = require "mw.options"
local tick = require "mw.tick"
local timers = require "mw.timers"

local M = {}

---@class mw.Task
---@field private _status "running"|"waiting"|"done"|"failed"|"cancelled"
local Task = { __name = "mw.task" }
Task.__index = Task

local by_coroutine = setmetatable({}, { __mode = "k" })

local function cancelled_error()
  return errors.new("ABORT_ERR", "ABORT_ERR: the task was cancelled")
end

local function settle(self, status, ...)
  self._status, self._results = status, table.pack(...)
  by_coroutine[self._coroutine] = nil
  local joiners = self._joiners
  self._joiners = nil
  for _, tell in ipairs(joiners) do
    tell()
  end
end

-- An error that nobody has asked for by the end of the tick has no reader.
local function fail(self, err, traceback)
  self._joined = #self._joiners > 0
  settle(self, "failed", err)
  tick.add(function()
    if not self._joined then
      loop.uncaught(err, "unhandled_rejection", traceback)
    end
  end)
end

local function keep_traceback(err)
  local self = by_coroutine[coroutine.running()]
  if not self._cancelled then
    self._traceback = debug.traceback(nil, 2)
  end
  return err
end

local function over(self, ok, ...)
  if self._cancelled then
    settle(self, "cancelled", cancelled_error())
  elseif ok then
    settle(self, "done", ...)
  else
    fail(self, (...), self._traceback)
  end
end

local function after_resume(self, ok, ...)
  if not ok then
    over(self, false, (...))
  elseif coroutine.status(self._coroutine) == "dead" then
    over(self, ...)
  elseif not self._wait then
    -- It yielded by itself: nobody would ever resume it.
    self._traceback = debug.traceback(self._coroutine)
    coroutine.close(self._coroutine)
    over(self, false, "a task waits by functions that wait (mw.sleep, emitter:wait, ...), not by coroutine.yield")
  end
end

function Task:_resume(...)
  self._status, self._wait = "running", nil
  after_resume(self, loop.resume(self._coroutine, ...))
end

--- Starts a task on the next turn of the loop: `fn(...)` as a coroutine that
--- may call the functions that wait.
---@param fn function
---@param ... any
---@return mw.Task
function M.go(fn, ...)
  if type(fn) ~= "function" then
    errors.misuse("go: bad argument 'fn' (function expected, got %s)", type(fn))
  end
  local self = setmetatable({ _status = "waiting", _joiners = {} }, Task)
  -- By xpcall an error unwinds within the coroutine: variables to be closed
  -- are closed there, where they may wait.
  self._coroutine = coroutine.create(xpcall)
  by_coroutine[self._coroutine] = self
  self._start = timers.set_immediate(function(...)
    self._start = nil
    self:_resume(fn, keep_traceback, ...)
  end, ...)
  return self
end

--- What the task does: "running" (it is the one that runs now), "waiting" (also
--- to be started), "done", "failed", "cancelled".
---@return "running"|"waiting"|"done"|"failed"|"cancelled"
function Task:status()
  return self._status
end

local function answer_join(self, done)
  self._joined = true
  if self._status == "done" then
    return done(nil, table.unpack(self._results, 1, self._results.n))
  end
  local err = self._results[1]
  if err == nil then
    err = errors.new("ERR_UNHANDLED_ERROR", "ERR_UNHANDLED_ERROR: the task failed with nil")
  end
  done(err)
end

local function start_join(self, done)
  local function tell()
    answer_join(self, done)
  end
  if self._joiners then
    table.insert(self._joiners, tell)
  else
    tell()
  end
  return tell
end

local function stop_join(self, tell)
  for index, joiner in ipairs(self._joiners or {}) do
    if joiner == tell then
      return table.remove(self._joiners, index)
    end
  end
end

--- Waits for the end of the task and returns what its function returned; nil
--- and the error where it failed, nil and an ABORT_ERR where it was cancelled.
--- With a callback, gives it (err, ...) and returns at once.
---@param callback? fun(err: any, ...: any)
---@return any ...
function Task:join(callback)
  options.optional("join", "callback", callback, options.callback)
  if callback then
    start_join(self, function(...)
      tick.add(callback, ...)
    end)
    return
  elseif self._joiners and M.current() == self then
    errors.misuse("join: a task can't wait for its own end")
  end
  return M.answer("the end of a task", nil, function(done)
    return start_join(self, done)
  end, function(tell)
    stop_join(self, tell)
  end)
end

--- Ends the task: what it waits for is given up, and the waiting call raises
--- an ABORT_ERR in it, so that its cleanup runs, which may wait itself. A task
--- that runs gets the error from its next wait; one that has not started never
--- does; one that has ended stays as it is.
function Task:cancel()
  if not self._joiners or self._cancel_is_due then
    return
  end
  self._cancelled = true
  if self._start then
    self._start:close()
    settle(self, "cancelled", cancelled_error())
    return
  end
  self._cancel_is_due = true
  if self._wait then
    self._wait(false)
  end
end

--- The task that runs now, nil outside of any.
---@return mw.Task?
function M.current()
  return by_coroutine[coroutine.running()]
end

--- Where all the tasks are that wait, as text: a report of what is under way.
---@param most integer no more tasks than these
---@return string
function M.tracebacks(most)
  local parts = {}
  for coroutine_of_task, task in pairs(by_coroutine) do
    if task._status == "waiting" and #parts < most then
      parts[#parts + 1] = "\na task that waits:\n" .. debug.traceback(coroutine_of_task)
    end
  end
  return table.concat(parts)
end

-- Where a wait can be: returns the task, or nil in the main script.
local function place_to_wait(what)
  local running, is_main = coroutine.running()
  local task = by_coroutine[running]
  if task and coroutine.isyieldable() then
    return task
  elseif is_main and loop.depth() == 0 and not loop.in_handler() then
    return nil
  end
  errors.misuse("can't wait for %s here: wait in a task (mw.go(function() ... end)), or use a callback or an event", what)
end

local function raise_if_cancelled(task)
  if task._cancel_is_due then
    task._cancel_is_due = nil
    error(cancelled_error(), 0)
  end
end

local function await_in_task(task, start)
  raise_if_cancelled(task)
  local answer, undo
  local resumed = false
  local function resume()
    if resumed then
      return
    end
    resumed = true
    if not answer and undo then
      undo()
    end
    tick.add(task._resume, task)
  end
  local function done(...)
    if answer or resumed then
      return
    end
    answer = table.pack(...)
    if task._wait == resume then
      resume()
    end
  end
  undo = start(done)
  if not answer then
    task._status, task._wait = "waiting", resume
    coroutine.yield()
    if not answer then
      raise_if_cancelled(task)
    end
  end
  return table.unpack(answer, 1, answer.n)
end

local function give_up(what)
  io.stdout:flush()
  io.stderr:write(("mwrun: the main script waits for %s, and nothing can bring it any more\n"):format(what))
  io.stderr:write(debug.traceback("", 3):sub(2), "\n")
  loop.exit(13)
end

local function await_in_main(what, start)
  local answer
  start(function(...)
    answer = answer or table.pack(...)
    loop.stop()
  end)
  while not answer do
    loop.drain()
    if not answer and not loop.turn() and not answer and not loop.drain() then
      loop.before_exit()
      if not answer and not loop.alive() then
        give_up(what)
      end
    end
  end
  return table.unpack(answer, 1, answer.n)
end

--- Waits for an answer: `start(done)` begins the operation, whose end calls
--- `done(...)`; what it was called with is returned. `start` may return a
--- function that takes the operation back, for a task that is cancelled.
--- Raises where there is no place to wait: outside a task and the main script.
---@param what string what is waited for, as a message may name it
---@param start fun(done: fun(...: any)): function?
---@return any ...
function M.await(what, start)
  local task = place_to_wait(what)
  if task then
    return await_in_task(task, start)
  end
  return await_in_main(what, start)
end

local function unwrap(err, ...)
  if err ~= nil then
    return nil, err
  end
  return ...
end

--- The two forms of a function that exists for its answer: with a callback,
--- `start` gets it; without one, waits. A callback's first value is the error;
--- a wait returns the others, or nil and the error.
---@param what string what is waited for, as a message may name it
---@param callback? fun(err: any, ...: any)
---@param start fun(callback: fun(err: any, ...: any)): any
---@param undo? fun(started: any) takes back what `start` returned
---@return any ... what `start` returned, or the answer
function M.answer(what, callback, start, undo)
  if callback then
    return start(callback)
  end
  return unwrap(M.await(what, function(done)
    local started = start(done)
    return undo and function()
      undo(started)
    end
  end))
end

-- Workers: tasks whose coroutine runs one function after the other.
---@class mw.TaskWorker: mw.Task
local Worker = { __name = "mw.task" }
for name, method in pairs(Task) do
  Worker[name] = Worker[name] or method
end
Worker.__index = Worker

local idle_workers, idle_count = {}, 0
local most_idle_workers = 256
local idle = {} -- what a worker yields that has nothing to do

local function work(self, fn, on_over, first, second)
  repeat
    local ok, err = xpcall(fn, keep_traceback, first, second)
    on_over(ok, err, not ok and self._traceback, first, second)
    local is_kept = idle_count < most_idle_workers
    if is_kept then
      idle_count = idle_count + 1
      idle_workers[idle_count] = self
      fn, on_over, first, second = coroutine.yield(idle)
    end
  until not is_kept
  return idle
end

local function new_worker()
  local self = setmetatable({ _status = "running" }, Worker)
  self._coroutine = coroutine.create(function(...)
    return work(self, ...)
  end)
  by_coroutine[self._coroutine] = self
  return self
end

local function take_worker()
  local self = idle_workers[idle_count]
  if not self then
    return new_worker()
  end
  idle_workers[idle_count] = nil
  idle_count = idle_count - 1
  return self
end

-- It waits, or has come to an end that is not its own.
local function after_pause(self, ok, err, on_over, first, second)
  if self._wait then
    self._on_over, self._first, self._second = on_over, first, second
    return
  end
  local traceback = debug.traceback(self._coroutine)
  coroutine.close(self._coroutine)
  if ok then
    err = "a task waits by functions that wait (mw.sleep, emitter:wait, ...), not by coroutine.yield"
  end
  on_over(false, err, traceback, first, second)
end

function Worker:_resume()
  local on_over, first, second = self._on_over, self._first, self._second
  self._status, self._wait = "running", nil
  self._on_over, self._first, self._second = nil, nil, nil
  local ok, result = loop.resume(self._coroutine)
  if result ~= idle then
    after_pause(self, ok, result, on_over, first, second)
  end
end

--- Runs `fn(first, second)` at once, as a task that nobody joins, until it
--- waits: for what is called so often that mw.go() would cost more than the
--- work. `on_over` is told how it ended.
---@param fn function
---@param on_over fun(ok: boolean, err: any, traceback: string?, first: any, second: any)
---@param first any
---@param second any
function M.run(fn, on_over, first, second)
  local self = take_worker()
  local ok, result = loop.resume(self._coroutine, fn, on_over, first, second)
  if result ~= idle then
    after_pause(self, ok, result, on_over, first, second)
  end
end

--- Waits for some milliseconds and returns true. With a callback, gives it
--- (nil, true) and returns the timer.
---@param ms number at least 1 are waited
---@param callback? fun(err: nil, over: true)
---@return true|mw.Timer
function M.sleep(ms, callback)
  timers.check_time("sleep", ms)
  options.optional("sleep", "callback", callback, options.callback)
  return M.answer("the end of a sleep", callback, function(done)
    return timers.set_timeout(done, ms, nil, true)
  end, timers.clear_timeout)
end

return M
