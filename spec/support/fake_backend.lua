-- A backend of the supervisor without processes: a test says what becomes of
-- each worker, and sees what was asked of it.

---@class spec.FakeWorker
---@field id integer
---@field pid integer
---@field slot integer
---@field generation integer
---@field active boolean? may be given connections
---@field asked boolean? to stop
---@field killed boolean?
---@field ended boolean?
---@field told string[]? notifications
---@field report fun(event: string, ...: any)
local FakeWorker = {}
FakeWorker.__index = FakeWorker

function FakeWorker:become_ready()
  self.report "online"
  self.report "listening"
end

--- Ends it; with status 0 where nothing is said.
---@param code? integer
---@param signal? string
---@param words? string
function FakeWorker:exit(code, signal, words)
  assert(not self.ended, "ends once")
  self.ended = true
  self.report("exit", not signal and (code or 0) or nil, signal, words)
end

---@class spec.FakeBackend
---@field started spec.FakeWorker[] all, in order
---@field refreshing? fun(done: fun(err: any))
---@field is_due fun(): boolean whether ports are to be kept
---@field is_closed boolean?
---@field traceback_text string what is told of one that is stuck
local FakeBackend = {}
FakeBackend.__index = FakeBackend

---@return spec.FakeBackend
function FakeBackend.new()
  return setmetatable({ started = {}, traceback_text = "stuck in app.lua:7", _tracebacks = {} }, FakeBackend)
end

function FakeBackend:start(slot, generation, report)
  local id = #self.started + 1
  local worker = { id = id, pid = 1000 + id, slot = slot, generation = generation, report = report }
  self.started[id] = setmetatable(worker, FakeWorker)
  return worker
end

function FakeBackend:heritage(handles)
  return { count = #handles, last_id = #self.started }
end

function FakeBackend:adopt(from)
  self.adopted = from
  for id = 1, from.last_id do
    self.started[id] = setmetatable({ id = id, ended = true }, FakeWorker)
  end
end

function FakeBackend:resume(id, report)
  local worker = { id = id, pid = 1000 + id, report = report }
  self.started[id] = setmetatable(worker, FakeWorker)
  return worker
end

function FakeBackend.activate(_, worker)
  worker.active = true
end

function FakeBackend.ask_stop(_, worker)
  worker.asked = true
end

function FakeBackend.kill(_, worker)
  worker.killed = true
end

--- Done at once, unless `refreshing` is set: then it is called with `done`.
function FakeBackend:refresh(done)
  if self.refreshing then
    return self.refreshing(done)
  end
  done()
end

function FakeBackend:keep_ports(is_due)
  self.is_due = is_due
end

function FakeBackend:close()
  self.is_closed = true
end

function FakeBackend.notify(_, worker, bytes)
  worker.told = worker.told or {}
  table.insert(worker.told, bytes)
end

function FakeBackend:traceback(worker, done)
  self._tracebacks[worker] = done
end

--- Gives the traceback that is waited for.
---@param worker spec.FakeWorker
function FakeBackend:answer_traceback(worker)
  self._tracebacks[worker](self.traceback_text)
end

--- Those that run.
---@return spec.FakeWorker[]
function FakeBackend:running()
  local list = {}
  for _, worker in ipairs(self.started) do
    if not worker.ended then
      list[#list + 1] = worker
    end
  end
  return list
end

return FakeBackend
