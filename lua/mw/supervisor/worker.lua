-- What the supervisor knows about one worker.

---@class mw.SupervisedWorker
---@field id integer the backend's; never used again
---@field pid integer? nil where the process could not be started
---@field start_time integer? of the process, where somebody has looked
---@field slot integer the place 1..N, which a replacement inherits
---@field generation integer how many reloads had begun when it was started, and 1
---@field state mw.WorkerState
---@field handle any the backend's
---@field started_at integer
---@field ready_at integer?
---@field last_beat integer? the last sign of life of its loop
---@field vitals table what it said of itself then
---@field messages any[] the last few that it has sent
---@field is_plain boolean? its script has asked for no port: it is no server, and may end
---@field limits mw.WorkerLimits
---@field replace_reason string? why it is to be replaced
---@field timer table? limits the time of its state
---@field deadline integer? when it is over
local Worker = {}
Worker.__index = Worker

---@param slot integer
---@param generation integer
---@param now integer
---@param limits mw.WorkerLimits
---@return mw.SupervisedWorker
function Worker.new(slot, generation, now, limits)
  return setmetatable({
    slot = slot,
    generation = generation,
    state = "starting",
    started_at = now,
    limits = limits,
    vitals = {},
    messages = {},
  }, Worker)
end

--- Takes what the backend has started for it.
---@param handle { id: integer, pid: integer? }
function Worker:take_handle(handle)
  self.handle, self.id, self.pid = handle, handle.id, handle.pid
end

--- Limits the time of its state, in place of the limit before; without a
--- timer, ends that.
---@param timer? { close: fun(self) }
---@param deadline? integer when the timer is over
function Worker:set_timer(timer, deadline)
  if self.timer then
    self.timer:close()
  end
  self.timer, self.deadline = timer, deadline
end

local most_messages = 5

--- Remembers a message, for the record of a crash.
---@param message any
function Worker:remember(message)
  table.insert(self.messages, message)
  if #self.messages > most_messages then
    table.remove(self.messages, 1)
  end
end

--- For how long it has been ready; nil where it never was.
---@param now integer
---@return integer? milliseconds
function Worker:ready_for(now)
  return self.ready_at and now - self.ready_at
end

--- What it has used, as far as it may be limited.
---@param now integer
---@return { memory: integer?, requests: integer?, age: integer }
function Worker:use(now)
  return { memory = self.vitals.memory, requests = self.vitals.requests, age = now - self.started_at }
end

--- As users see it.
---@param now integer
---@return table
function Worker:describe(now)
  local vitals = self.vitals
  return {
    id = self.id,
    pid = self.pid,
    slot = self.slot,
    generation = self.generation,
    state = self.state,
    uptime = now - self.started_at,
    memory = vitals.memory,
    lua_heap = vitals.lua_heap,
    requests = vitals.requests,
    stalls = vitals.stalls,
    last_stall = vitals.last_stall,
  }
end

function Worker:__tostring()
  return ("worker %s (slot %d, pid %s)"):format(self.id, self.slot, self.pid or "none")
end

return Worker
