-- Tasks: coroutines that wait for answers without stopping the loop, and the
-- one function, `await`, through which everything that waits waits: in a task
-- by suspending it, in the main script by running the loop.

local errors = require "mw.error"
local loop = require "mw.core.loop"
local tick = require "mw.tick"
local timers = require "mw.timers"

local M = {}

-- How many event handlers are being called, innermost last. They have no
-- place to wait in, also where the event is emitted by a task.
M.handlers = 0

---@class mw.Task
---@field private _status "running"|"waiting"|"done"|"failed"|"cancelled"
local Task = { __name = "mw.task" }
Task.__index = Task

local by_coroutine = setmetatable({}, { __mode = "k" })

local cancelled = errors.new("ABORT_ERR", "ABORT_ERR: the task was cancelled")

local function settle(self, status, ...)
  self._status, self._results = status, table.pack(...)
  by_coroutine[self._coroutine] = nil
  local joiners = self._joiners
  self._joiners = nil
  for _, done in ipairs(joiners) do
    done()
  end
end

-- An error that nobody has asked for by the end of the tick has no reader.
local function fail(self, err)
  local traceback = debug.traceback(self._coroutine)
  self._joined = #self._joiners > 0
  settle(self, "failed", err)
  tick.add(function()
    if not self._joined then
      loop.uncaught(err, "unhandled_rejection", traceback)
    end
  end)
end

local function after_resume(self, ok, ...)
  if not ok then
    if self._cancelled then
      settle(self, "cancelled", cancelled)
    else
      fail(self, (...))
    end
  elseif coroutine.status(self._coroutine) == "dead" then
    if self._cancelled then
      settle(self, "cancelled", cancelled)
    else
      settle(self, "done", ...)
    end
  elseif not self._wait then
    -- It yielded by itself: nobody would ever resume it.
    fail(self, "a task waits by functions that wait (mw.sleep, emitter:wait, ...), not by coroutine.yield")
    coroutine.close(self._coroutine)
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
  self._coroutine = coroutine.create(fn)
  by_coroutine[self._coroutine] = self
  self._start = timers.set_immediate(function(...)
    self._start = nil
    self:_resume(...)
  end, ...)
  return self
end

--- What the task does: "running" (it is the one that runs now), "waiting",
--- "done", "failed", "cancelled".
---@return "running"|"waiting"|"done"|"failed"|"cancelled"
function Task:status()
  return self._status
end

local function results(self)
  self._joined = true
  if self._status == "done" then
    return table.unpack(self._results, 1, self._results.n)
  end
  local err = self._results[1]
  if err == nil then
    err = errors.new("ERR_UNHANDLED_ERROR", "ERR_UNHANDLED_ERROR: the task failed with nil")
  end
  return nil, err
end

--- Waits for the end of the task and returns what its function returned; nil
--- and the error where it failed or was cancelled.
---@return any ...
function Task:join()
  if self._joiners then
    if by_coroutine[coroutine.running()] == self then
      errors.misuse("join: a task can't wait for its own end")
    end
    M.await("the end of a task", function(done)
      table.insert(self._joiners, done)
      return function()
        for index, joiner in ipairs(self._joiners or {}) do
          if joiner == done then
            table.remove(self._joiners, index)
            break
          end
        end
      end
    end)
  end
  return results(self)
end

--- Ends the task: what it waits for is given up, and the waiting call raises
--- in it, so that its cleanup runs. One that has ended already stays as it is.
function Task:cancel()
  if not self._joiners or self._cancelled then
    return
  end
  self._cancelled = true
  if self._start then
    self._start:close()
    settle(self, "cancelled", cancelled)
  elseif self._wait then
    self._wait(false, cancelled)
  end
end

--- The task that runs now, nil outside of any.
---@return mw.Task?
function M.current()
  return by_coroutine[coroutine.running()]
end

-- Where a wait can be: returns the task, or nil in the main script.
local function place_to_wait(what)
  local running, is_main = coroutine.running()
  local task = by_coroutine[running]
  if M.handlers == 0 then
    if task and coroutine.isyieldable() then
      return task
    elseif is_main and loop.depth() == 0 then
      return nil
    end
  end
  errors.misuse("can't wait for %s here: call it in a task (mw.go(function() ... end)) or give it a callback", what)
end

local function await_in_task(task, start)
  if task._cancelled then
    error(cancelled, 0)
  end
  local answer, undo
  local resumed = false
  local function resume(ok, ...)
    if resumed then
      return
    end
    resumed = true
    if not answer and undo then
      undo()
    end
    tick.add(task._resume, task, ok, ...)
  end
  local function done(...)
    if answer or resumed then
      return
    end
    answer = table.pack(...)
    if task._wait == resume then
      resume(true)
    end
  end
  undo = start(done)
  if not answer then
    task._status, task._wait = "waiting", resume
    local ok, err = coroutine.yield()
    if not ok then
      error(err, 0)
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

--- Suspends the caller for some milliseconds.
---@param ms number
function M.sleep(ms)
  M.await("the end of a sleep", function(done)
    local timer = timers.set_timeout(done, ms)
    return function()
      timer:close()
    end
  end)
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

return M
