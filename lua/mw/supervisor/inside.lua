-- The supervisor's part in a worker: signs of life from the loop itself, and
-- the watchdog, which tells where code is stuck that does not return to it.

local cluster = require "mw.cluster"
local core = require "mw.core.process"
local counters = require "mw.counters"
local listening = require "mw.cluster.inside.listening"
local loop = require "mw.core.loop"
local notifications = require "mw.supervisor.notifications"
local process = require "mw.process"
local system = require "mw.core.system"
local task = require "mw.task"
local timers = require "mw.timers"
local watchdog = require "mw.core.watchdog"

local M = {
  --- Where a worker that may survive its master has that one's own standard
  --- streams, by their numbers.
  spare_descriptors = { 5, 6 },
}

-- A report names so many tasks that wait, and no more.
local most_tasks = 20

local stalls, last_stall = 0, nil

local function tell(message)
  if process.connected then
    message.cmd = "NODE_SUPERVISOR"
    process.channel:tell(message)
  end
end

local function beat()
  tell {
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

-- The end ----------------------------------------------------------------------

-- Lets it end in time, whatever is left then.
local function limit_time(graceful_timeout, status)
  timers.set_timeout(process.exit, graceful_timeout, status):unref()
end

-- Serves what is under way, and ends.
local function drain(graceful_timeout, status)
  process.exit_code = status
  limit_time(graceful_timeout, status)
  listening.close_all(function()
    process.exit(status)
  end)
end

-- The part of a worker that may survive its master; nil in others.
local orphan

local function is_alone()
  return orphan ~= nil and orphan.is_alone()
end

-- Whether the script has no listener beside ours.
local function is_ours(event)
  return process.listener_count(event) == 1
end

-- An error that nobody has caught ends a worker; but one that serves others
-- answers those first, while the master starts the next.
local function watch_errors(graceful_timeout)
  local is_leaving = false
  process.on("uncaught_exception", function(err, _, traceback)
    if not is_ours "uncaught_exception" then
      return
    end
    local text = ("%s\n%s"):format(tostring(err), traceback or "")
    io.stderr:write("mwrun: ", text, "\n")
    if is_leaving then
      return
    elseif cluster.worker.state ~= "listening" or not (process.connected or is_alone()) then
      process.exit(1)
    end
    is_leaving = true
    tell { act = "leaving", why = text }
    drain(graceful_timeout, 1)
  end)
end

-- Without a master it has as long as where that asks it to stop: the kernel ends
-- it then, hung or not. What it says at its exit needs some of that time.
local function watch_master(graceful_timeout, folder, is_script)
  if folder then
    orphan = require "mw.supervisor.orphan"
    orphan.prepare {
      folder = folder,
      spares = M.spare_descriptors,
      is_script = is_script,
      limit_time = function()
        limit_time(graceful_timeout)
      end,
      drain = function()
        drain(graceful_timeout, 0)
      end,
    }
    return
  end
  core.set_parent_death_grace(graceful_timeout)
  function cluster._on_orphaned()
    drain(graceful_timeout * 9 // 10, 0)
  end
end

-- What means something to the master may be sent to its whole process group:
-- Ctrl-C, or a terminal that is closed. It tells its workers what to do. SIGTERM
-- may be for the whole service, or for this worker.
local masters_own = { "SIGINT", "SIGHUP", "SIGUSR2", "SIGTTIN", "SIGTTOU" }

local function watch_signals()
  for _, name in ipairs(masters_own) do
    process.on(name, function() end)
  end
  process.on("SIGTERM", function()
    if not is_ours "SIGTERM" then
      return
    elseif is_alone() then
      orphan.leave()
    else
      cluster.worker:disconnect()
    end
  end)
end

-- A script that asks for no port is no server: it ends with its last handle,
-- and at once when it is asked to, unless it wants to hear of that itself.
local function watch_script()
  timers.set_immediate(function()
    if listening.is_used() or not process.connected then
      return
    end
    process.channel:unref()
    tell { act = "running" }
    process.once("disconnect", function()
      if not listening.is_used() and process.listener_count "disconnect" == 0 then
        process.exit()
      end
    end)
  end)
end

-- Beginning -------------------------------------------------------------------

--- The value of MW_SUPERVISED for a worker.
---@param settings table
---@param descriptor integer where reports go
---@return string
function M.variable(settings, descriptor)
  local numbers = { settings.heartbeat.interval, settings.stall_warning, settings.graceful_timeout, descriptor }
  numbers[#numbers + 1] = settings.ready == "script" and 1 or 0
  return table.concat(numbers, " ") .. " " .. (settings.survive or "")
end

-- Nothing of it keeps the loop alive.
local function start_beating(interval)
  beat()
  timers.set_interval(beat, interval):unref()
end

local function start_watching(stall_warning, descriptor)
  M.note_coroutines()
  local ok = watchdog.open(descriptor, function()
    return task.tracebacks(most_tasks)
  end)
  if ok and stall_warning > 0 then
    watch_stalls(stall_warning):unref()
  end
end

local function take_variable()
  local text = process.env.MW_SUPERVISED or ""
  process.env.MW_SUPERVISED = nil
  local numbers = {}
  local words, folder = text:match "^(%d+ %d+ %d+ %d+ %d+) (.*)$"
  for number in (words or ""):gmatch "%d+" do
    numbers[#numbers + 1] = math.tointeger(number)
  end
  return numbers, folder ~= "" and folder or nil
end

-- Before the script runs, and only in a worker that has a supervisor.
local function start()
  local numbers, folder = take_variable()
  local interval, stall_warning, graceful_timeout, descriptor, is_script = table.unpack(numbers)
  if not descriptor or not cluster.is_worker then
    return
  end
  -- Its lines are read by the master: they shall not wait in a buffer.
  io.stdout:setvbuf "line"
  notifications.open(process.channel)
  watch_signals()
  watch_errors(graceful_timeout)
  watch_master(graceful_timeout, folder, is_script == 1)
  start_watching(stall_warning, descriptor)
  start_beating(interval)
  if is_script == 1 then
    watch_script()
  end
end

start()

return M
