-- The master runs its file again, in the same process: another binary by now, or
-- other code. Workers, listening sockets and channels stay; the next image goes
-- on with them. (mw.supervisor.inheritance is the other side.)

local child_process = require "mw.child_process"
local command_line = require "mw.process.command_line"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local heritage = require "mw.supervisor.heritage"
local image = require "mw.core.image"
local inheritance = require "mw.supervisor.inheritance"
local msgpack = require "mw.msgpack"
local process = require "mw.process"
local uv = require "luv"

-- Where it can't be now, it is tried again: so long one attempt holds new
-- connections back, so long is the time between, so many there are.
local attempt_time, pause_time, most_attempts = 200, 1000, 30

-- For the answer of the file that is to be run.
local patience = 10000

local M = {}

-- The file ------------------------------------------------------------------------

local function search(name)
  for directory in (os.getenv "PATH" or ""):gmatch "[^:]+" do
    if uv.fs_access(directory .. "/" .. name, "X") then
      return directory .. "/" .. name
    end
  end
  return ""
end

-- By the path that it was called by: what is there may be a link, which leads to
-- another file by then. Looked up at once, as long as that is us.
local function original_file()
  local name = command_line.words[1]
  local path = name:find("/", 1, true) and command_line.absolute(name) or search(name)
  local executable = uv.exepath()
  return uv.fs_realpath(path) == executable and path or executable
end

local file = original_file()

local kept = {}

--- Gives the next image a variable that this process has taken from its
--- environment.
---@param name string
---@param value? string
function M.keep_variable(name, value)
  kept[name] = value
end

local function environment(descriptor)
  local list = { ("%s=%d"):format(inheritance.variable, descriptor) }
  local channel = process.channel and process.channel:variables_of_heir() or {}
  for _, part in ipairs { process.env, kept, channel } do
    for name, value in pairs(part) do
      list[#list + 1] = value and name .. "=" .. value or nil
    end
  end
  return list
end

-- Before anything is done: what can't be run, or can't go on with what we leave,
-- is not run.
local function ask_version(done)
  local code = "io.write('\\n', require('mw.supervisor.inheritance').version)"
  child_process.exec_file(file, { "-e", code }, { timeout = patience }, function(err, stdout)
    local version = not err and math.tointeger(tonumber(stdout:match "(%d+)$"))
    if version == inheritance.version then
      return done()
    end
    local why = err and tostring(err) or ("it does not know our state, of version %d"):format(inheritance.version)
    done(errors.new("ERR_SUPERVISOR_SUCCESSION", ("ERR_SUPERVISOR_SUCCESSION: %s: %s"):format(file, why)))
  end)
end

-- The step ------------------------------------------------------------------------

-- The descriptors in what is left.
local function collect(value, list)
  for key, item in pairs(value) do
    if type(item) == "table" then
      collect(item, list)
    elseif key == "fd" then
      list[#list + 1] = item
    end
  end
  return list
end

---@return mw.Inheritance
local function estate(self)
  local from, pids = heritage.of(self.set), {}
  for index, worker in ipairs(self.set:list()) do
    pids[index] = worker.pid
  end
  return {
    version = inheritance.version,
    pids = pids,
    helpers = self.helpers(),
    fds = collect(from.backend.cluster, {}),
    set = from,
  }
end

-- The file is run where it was run before: its words may be relative paths.
local function run(from, memory)
  local directory = uv.cwd()
  uv.chdir(command_line.directory)
  local fds = table.move(from.fds, 1, #from.fds, 2, { memory })
  if process.channel then
    fds[#fds + 1] = process.channel:heritage().fd
  end
  io.stdout:flush()
  local _, code = image.replace(file, command_line.words, environment(memory), fds)
  uv.chdir(directory)
  return code
end

-- Returns only where it fails; what workers have sent may be too much to encode.
local function replace(self)
  local from = estate(self)
  local bytes = msgpack.encode(from)
  local memory, refusal = fd.memory "mwrun-succession"
  if not memory then
    return refusal
  end
  local ok, code = fd.write_all(memory, bytes)
  if ok then
    code = run(from, memory)
  end
  fd.close(memory)
  return code
end

-- Waiting -------------------------------------------------------------------------

---@class mw.Succession
---@field set mw.WorkerSet
---@field attempts integer
---@field helpers fun(): integer[]
---@field done fun(err: mw.Error) it has failed
local Succession = {}
Succession.__index = Succession

local function fail(self, why)
  self.set.is_handing_on = false
  self.set:reconcile()
  self.done(errors.new("ERR_SUPERVISOR_SUCCESSION", "ERR_SUPERVISOR_SUCCESSION: " .. why))
end

-- Our own parent's; the next image opens it before it could be told more.
local function is_channel_empty()
  local channel = process.channel
  return not channel or channel:is_quiet() and not channel:heritage().unread
end

local function is_ready(self)
  local set = self.set
  return heritage.is_calm(set) and set.backend:is_quiet(heritage.handles(set)) and is_channel_empty()
end

local function release(self)
  image.hold_signals(false)
  self.set.backend:set_paused(false)
end

local function stopped_error()
  return errors.new("ERR_SUPERVISOR_STOPPED", "ERR_SUPERVISOR_STOPPED: the supervisor has stopped")
end

local function try_again(self)
  release(self)
  if self.set.is_stopping then
    return self.done(stopped_error())
  elseif self.attempts == most_attempts then
    return fail(self, "there was always something under way between the master and its workers")
  end
  self.set.is_handing_on = false
  self.set:reconcile()
  self.set.clock:after(pause_time, function()
    self:wait()
  end)
end

-- Signals that were caught before they were held have been told by now.
local function step(self)
  if not is_ready(self) then
    return try_again(self)
  end
  local _, problem = pcall(replace, self)
  release(self)
  fail(self, ("%s: %s"):format(file, problem))
end

-- New connections wait in the kernel, until those that were accepted are the
-- workers'.
local function settle(self, deadline)
  local clock = self.set.clock
  if is_ready(self) then
    image.hold_signals(true)
    return clock:after(1, function()
      step(self)
    end)
  elseif clock:now() > deadline then
    return try_again(self)
  end
  clock:after(1, function()
    settle(self, deadline)
  end)
end

function Succession:wait()
  local set = self.set
  self.attempts = self.attempts + 1
  set.is_handing_on = true
  set:wait_until(function()
    if set.is_stopping then
      return nil, stopped_error()
    end
    return heritage.is_calm(set) or nil
  end, function(err)
    if err then
      return self.done(err)
    elseif set.backend:has_strangers(heritage.handles(set)) then
      return fail(self, "the cluster has workers that are not supervised")
    end
    set.backend:set_paused(true)
    settle(self, set.clock:now() + attempt_time)
  end)
end

--- Runs the file again, as soon as no reload is under way. `done` is called
--- where that fails: then all is as it was.
---@param set mw.WorkerSet
---@param helpers fun(): integer[] pids that the next image is to end, since it starts others
---@param done fun(err: mw.Error)
function M.begin(set, helpers, done)
  ask_version(function(err)
    if err then
      return done(err)
    end
    setmetatable({ set = set, helpers = helpers, attempts = 0, done = done }, Succession):wait()
  end)
end

return M
