-- What is done at the steps of a worker's life that `states` names.

local M = {}

local function lose_place(set, worker)
  local slot = set:slot_of(worker)
  if slot then
    slot:remove(worker)
  end
end

-- It has no place any more, and only so long to end.
local function begin_stopping(set, worker)
  lose_place(set, worker)
  if worker.state == "gone" then
    return
  end
  set:limit_time(worker, set.settings.graceful_timeout, "overdue")
end

function M.tell_online(set, worker)
  set.emit("online", worker)
end

function M.tell_ready(set, worker)
  worker:set_timer()
  worker.ready_at = set.clock:now()
  set.was_ready = true
  set.backend:activate(worker.handle)
  set.emit("ready", worker)
end

function M.ask_to_stop(set, worker)
  begin_stopping(set, worker)
  set.backend:ask_stop(worker.handle)
end

-- It stops by itself, after an error or because it says so: its replacement
-- does not wait for its end.
function M.let_leave(set, worker, why)
  set:fail(worker, { why = ("%s leaves: %s"):format(worker, why or "no reason given") })
  begin_stopping(set, worker)
end

function M.kill(set, worker)
  set.backend:kill(worker.handle)
end

-- The traceback first: there is none of a dead one. That takes a moment; until
-- then the worker keeps its place.
function M.kill_late(set, worker)
  set.backend:traceback(worker.handle, function(traceback)
    local why = ("%s was not ready within %d ms"):format(worker, set.settings.ready_timeout)
    set:fail(worker, { why = why .. "\n" .. traceback, traceback = traceback })
    begin_stopping(set, worker)
    M.kill(set, worker)
    set:reconcile()
  end)
end

-- One that was ready is not missed for its traceback: the replacement starts
-- meanwhile.
function M.kill_hung(set, worker)
  begin_stopping(set, worker)
  set.backend:traceback(worker.handle, function(traceback)
    local why = ("%s is hung\n%s"):format(worker, traceback)
    set.log(why)
    set.record(worker, { why = why, traceback = traceback })
    set.emit("hung", worker, traceback)
    M.kill(set, worker)
  end)
end

function M.bury(set, worker, code, signal)
  worker:set_timer()
  set.workers[worker] = nil
  set.emit("exit", worker, code, signal)
end

local function describe_end(worker, code, signal, words)
  local how = signal and "was ended by " .. signal
    or code and "ended with status " .. code
    or worker.pid and "has ended" -- how, its parent knows
    or "could not be started"
  local when = (worker.ready_at or not (code or signal)) and "" or " before it was ready"
  return ("%s %s%s%s"):format(worker, how, when, words and words ~= "" and ": " .. words or "")
end

function M.count_failure(set, worker, code, signal, words)
  M.bury(set, worker, code, signal)
  if code == 0 and set:is_plain(worker) then
    set:finish(worker)
    return lose_place(set, worker)
  end
  set:fail(worker, { why = describe_end(worker, code, signal, words), code = code, signal = signal })
  lose_place(set, worker)
end

return M
