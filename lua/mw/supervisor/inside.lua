-- The supervisor's part in a worker: signs of life from the loop itself, and
-- the watchdog, which tells where code is stuck that does not return to it.

local counters = require "mw.counters"
local loop = require "mw.core.loop"
local process = require "mw.process"
local system = require "mw.core.system"
local task = require "mw.task"
local timers = require "mw.timers"
local watchdog = require "mw.core.watchdog"

local M = {}

-- A report names so many tasks that wait, and no more.
local most_tasks = 20

local stalls, last_stall = 0, nil

local function beat()
  process.channel:tell {
    cmd = "NODE_SUPERVISOR",
    act = "beat",
    lua_heap = math.floor(collectgarbage "count" * 1024),
    requests = counters.requests,
    stalls = stalls,
    last_stall = last_stall,
  }
end

local function milliseconds()
  return system.hrtime() // 1000000
end

-- Looks again and again whether the loop was held up for longer than
-- `stall_warning`, and by which line.
local function watch_stalls(stall_warning)
  local period = math.max(1, stall_warning // 2)
  local last = milliseconds()
  watchdog.expect(period + stall_warning)
  return timers.set_interval(function()
    local place = watchdog.expect(period + stall_warning)
    local now = milliseconds()
    local late = now - last - period
    last = now
    if late > stall_warning then
      stalls, last_stall = stalls + 1, { place = place or "no Lua code", duration = late }
    end
  end, period)
end

-- What a coroutine's function has returned, or raised, as coroutine.wrap has it.
local function results_of_wrapped(co, ok, ...)
  if ok then
    return ...
  end
  local err = ...
  if coroutine.status(co) == "dead" then
    local closed, failure = coroutine.close(co)
    err = closed and err or failure
  end
  error(err, 2)
end

--- Lets the watchdog know which coroutine runs: Lua's own functions do not tell
--- anybody. To the script they are what they were.
function M.note_coroutines()
  -- luacheck: push globals coroutine
  coroutine.resume = loop.resume
  function coroutine.wrap(fn)
    local co = coroutine.create(fn)
    return function(...)
      return results_of_wrapped(co, loop.resume(co, ...))
    end
  end
  -- luacheck: pop
end

--- The value of MW_SUPERVISED for a worker.
---@param settings { heartbeat: { interval: integer }, stall_warning: integer }
---@param descriptor integer where reports go
---@return string
function M.variable(settings, descriptor)
  return ("%d %d %d"):format(settings.heartbeat.interval, settings.stall_warning, descriptor)
end

--- Begins, where MW_SUPERVISED says how, which is gone then: before the script
--- runs. Nothing of it keeps the loop alive.
function M.start()
  local text = process.env.MW_SUPERVISED
  process.env.MW_SUPERVISED = nil
  local interval, stall_warning, descriptor = (text or ""):match "^(%d+) (%d+) (%d+)$"
  if not interval or not process.channel then
    return
  end
  -- Its lines are read by the master: they shall not wait in a buffer.
  io.stdout:setvbuf "line"
  -- Ctrl-C at a terminal is for the master, which stops its workers.
  process.on("SIGINT", function() end)
  M.note_coroutines()
  if watchdog.open(math.tointeger(descriptor), function()
    return task.tracebacks(most_tasks)
  end) and math.tointeger(stall_warning) > 0 then
    watch_stalls(math.tointeger(stall_warning)):unref()
  end
  beat()
  local timer = timers.set_interval(function()
    if process.channel then
      beat()
    end
  end, math.tointeger(interval))
  timer:unref()
end

return M
