-- Supervisors of a test: real processes, what they tell written down, and
-- nothing left.

local eventually = require "spec.support.eventually"
local events = require "spec.support.events"
local scratch = require "spec.support.scratch"
local journal = require "mw.supervisor.journal"
local supervisor = require "mw.supervisor"

local M = {}

local folder, running, written

local names = { "online", "ready", "exit", "restart", "hung", "reload", "rollback", "give_up" }

-- What a script of a test may use without naming it.
local prelude = 'local mw = require "mw"; local process = mw.process; '

--- Writes the workers' script, also anew.
---@param code string
---@return string path
function M.write(code)
  folder = folder or scratch.new()
  return folder:write("app.lua", prelude .. code)
end

--- A path in the folder of the test.
---@param name string
---@return string
function M.path(name)
  folder = folder or scratch.new()
  return folder.path .. "/" .. name
end

---@class spec.Supervised
---@field supervisor mw.Supervisor
---@field events table[] fills as they come
local Supervised = {}
Supervised.__index = Supervised

--- Supervises a piece of Lua, whose workers send "ready".
---@param code string
---@param opts? table
---@return spec.Supervised
function M.start(code, opts)
  local all = { script = M.write(code), workers = 1, ready = "message", graceful_timeout = 2000 }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  local self = setmetatable({ supervisor = supervisor.start(all) }, Supervised)
  self.events = events.record(self.supervisor, table.unpack(names))
  running = self.supervisor
  return self
end

--- Waits for an event, which may have come; returns its values, the worker first.
---@param name string
---@param count? integer so many of them; 1 where absent
---@return any ...
function Supervised:event(name, count)
  local found = eventually(function()
    local left = count or 1
    for _, event in ipairs(self.events) do
      left = left - (event[1] == name and 1 or 0)
      if left == 0 then
        return event
      end
    end
  end)
  return table.unpack(found, 2, found.n + 1)
end

--- How many of an event there were.
---@param name string
---@return integer
function Supervised:count(name)
  local count = 0
  for _, event in ipairs(self.events) do
    count = count + (event[1] == name and 1 or 0)
  end
  return count
end

--- Waits until all workers are ready; returns what workers() says.
---@return table[]
function Supervised:all_ready()
  return eventually(function()
    local workers = self.supervisor:workers()
    local ready = #workers == self.supervisor:worker_count()
    for _, worker in ipairs(workers) do
      ready = ready and worker.state == "ready"
    end
    return ready and workers
  end)
end

--- What the supervisor and its workers have written so far, both streams.
---@return string
function M.written()
  return table.concat(written)
end

local function divert()
  local write = journal.write
  function journal.write(_, text)
    table.insert(written, text)
  end
  return function()
    journal.write = write
  end
end

local function clean()
  if running then
    running:stop()
    running = nil
  end
  if folder then
    folder:remove()
    folder = nil
  end
end

--- Declares a test that supervises workers, which have ended when it is over.
---@param name string
---@param fn fun()
function M.it(name, fn)
  require("busted").it(name, function()
    written = {}
    local restore = divert()
    local ok, err = xpcall(fn, function(err)
      return type(err) == "string" and debug.traceback(err) or err
    end)
    clean()
    restore()
    if not ok then
      error(err, 0)
    end
  end)
end

return M
