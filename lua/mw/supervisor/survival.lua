-- The master's part in workers that survive it: it writes down which there are,
-- and when it begins it takes over those of the master before, who find it by
-- the socket in the same folder. (mw.supervisor.orphan is the other side.)

local StateFolder = require "mw.supervisor.state_folder"
local Takeover = require "mw.supervisor.takeover"
local acceptors = require "mw.core.acceptor"
local command_line = require "mw.process.command_line"
local fd = require "mw.core.fd"
local identity = require "mw.supervisor.identity"
local process = require "mw.process"
local socket = require "mw.core.socket"

---@class mw.Survival
---@field private _folder mw.StateFolder
---@field private _set mw.WorkerSet
---@field private _takeover mw.Takeover?
local Survival = {}
Survival.__index = Survival

--- Takes the folder; raises where another master has it.
---@param settings table of the supervisor
---@return mw.Survival
function Survival.open(settings)
  local folder, err = StateFolder.open(settings.survive)
  if not folder then
    error(err, 0)
  end
  local script = command_line.absolute(settings.script)
  return setmetatable({ _folder = folder, _script = script, _last_id = 0 }, Survival)
end

-- What is written -----------------------------------------------------------------

-- Read once: the process does not become another.
local function start_time(worker)
  worker.start_time = worker.start_time or worker.pid and identity.start_time(worker.pid)
  return worker.start_time
end

local function state_of(self)
  local set, list = self._set, {}
  for _, worker in ipairs(set:list()) do
    self._last_id = math.max(self._last_id, worker.id)
    list[#list + 1] = start_time(worker)
      and {
        id = worker.id,
        slot = worker.slot,
        generation = worker.generation,
        pid = worker.pid,
        start_time = worker.start_time,
        started_at = worker.started_at,
        ready_at = worker.ready_at,
      }
  end
  return {
    script = self._script,
    wanted = set.wanted,
    workers_option = set.settings.workers,
    generation = set.generation,
    restarts = set.restarts,
    last_id = self._last_id,
    workers = list,
  }
end

--- Writes down what there is, where that is news.
function Survival:keep()
  if not self._set or self._set.is_gathering or self._set.is_over then
    return
  end
  local text = StateFolder.encode(state_of(self))
  if text == self._written then
    return
  end
  self._written = text
  local ok, err = self._folder:write(text)
  if not ok then
    self._set.log("the workers would not be found by another master: " .. tostring(err))
  end
end

-- The socket ----------------------------------------------------------------------

-- Whoever comes looks for a master: who is awaited by none is to end.
local function meet(self, descriptor)
  local pid, uid = socket.peer(descriptor)
  if not pid or uid ~= process.getuid() then
    fd.close(descriptor)
  elseif self._takeover and self._takeover:awaits(pid) then
    self._takeover:take(pid, descriptor)
  else
    self._set.backend:turn_away(descriptor)
  end
end

local function listen(self)
  local descriptor, code = self._folder:listen()
  if not descriptor then
    return self._set.log(("nobody can be found at %s: %s"):format(self._folder.path, code))
  end
  self._acceptor = assert(acceptors.open(descriptor, false, {
    room = function()
      return math.huge
    end,
    open = function()
      return 0
    end,
    take = function(connection)
      meet(self, connection)
    end,
  }))
  self._acceptor:set_referenced(false)
  self._acceptor:start()
end

--- Begins, for a set that has no worker, or those of an earlier image of this
--- process. It has those of the master before as soon as they have come: until
--- then it gathers.
---@param set mw.WorkerSet
function Survival:begin(set)
  self._set = set
  local state, why
  if next(set.workers) == nil then
    state, why = self._folder:read(self._script)
  end
  if why then
    set.log(("%s: what the master before has left is of no use: %s"):format(self._folder.path, why))
  end
  if state then
    self._last_id = state.last_id
    self._takeover = Takeover.begin(set, state)
  end
  listen(self)
end

--- Ends: all workers have.
function Survival:close()
  if self._acceptor then
    self._acceptor:close()
  end
  self._folder:close()
end

return Survival
