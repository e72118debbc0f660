-- The life of a worker as a table: what happens in which state, which state
-- comes next, and what is to be done, by the name of the action. What is not
-- in the table changes nothing.

---@alias mw.WorkerState "starting"|"ready"|"stopping"|"gone"

local M = {}

M.starting = {
  online = { "starting", "tell_online" },
  ready = { "ready", "tell_ready" },
  stop = { "stopping", "ask_to_stop" },
  leaving = { "stopping", "let_leave" },
  late = { "stopping", "kill_late" },
  exit = { "gone", "count_failure" },
}

M.ready = {
  stop = { "stopping", "ask_to_stop" },
  leaving = { "stopping", "let_leave" },
  hung = { "stopping", "kill_hung" },
  exit = { "gone", "count_failure" },
}

M.stopping = {
  overdue = { "stopping", "kill" },
  exit = { "gone", "bury" },
}

M.gone = {}

--- What an event means for a worker; nil where it means nothing.
---@param state mw.WorkerState
---@param event string
---@return mw.WorkerState? next_state
---@return string? action
function M.step(state, event)
  local step = M[state][event]
  if step then
    return step[1], step[2]
  end
end

return M
