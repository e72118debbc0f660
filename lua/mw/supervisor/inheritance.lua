-- What the image before this one has left: a supervisor that was told to run
-- its file again, in the same process. (mw.supervisor.succession is the other
-- side.)

local child_heritage = require "mw.child_process.heritage"
local fd = require "mw.core.fd"
local image = require "mw.core.image"
local msgpack = require "mw.msgpack"
local process = require "mw.process"
local timers = require "mw.timers"
local uv = require "luv"

local M = {
  --- Of the form of what is left. What every version has is `version`, `pids`
  --- and `fds`.
  version = 1,
  --- Names the descriptor of a file that has it.
  variable = "MW_SUCCESSION",
}

---@class mw.Inheritance
---@field version integer
---@field pids integer[] of the workers
---@field helpers integer[] of other processes, which are to end
---@field fds integer[] all that stand in it
---@field set mw.SetHeritage

-- A script may ask for its configuration first; but the workers are not kept
-- without anybody who watches over them.
local patience = 10000

local inherited, timer

local function log(text)
  io.stderr:write("mwrun: ", text, "\n")
end

-- What is no state is nothing of ours.
local function read(descriptor)
  local stat = uv.fs_fstat(descriptor)
  local bytes = stat and uv.fs_read(descriptor, stat.size, 0)
  local value = bytes and msgpack.decode(bytes)
  if type(value) == "table" and value.version then
    fd.close(descriptor)
    return value
  end
end

-- Hears of the end of a child that nobody knows any more, so that it does not
-- stay in the process table.
local function reap(pid)
  return child_heritage.adopt({ pid = pid, file = "", args = {}, streams = {} }):unref()
end

-- The children of this process that are no workers: those of the program have
-- lost what connected them to it. (proc(5))
local function reap_others()
  local file = io.open(("/proc/self/task/%d/children"):format(process.pid))
  local is_worker = {}
  for _, pid in ipairs(inherited.pids) do
    is_worker[pid] = true
  end
  for text in (file and file:read "a" or ""):gmatch "%d+" do
    local pid = math.tointeger(tonumber(text))
    if not is_worker[pid] then
      reap(pid)
    end
  end
  if file then
    file:close()
  end
  for _, pid in ipairs(inherited.helpers) do
    process.kill(pid, "SIGTERM")
  end
end

-- The workers lose their master: they answer what is under way, and end.
local function let_go(why)
  log(why .. ": the workers of before are let go")
  for _, descriptor in ipairs(inherited.fds) do
    fd.close(descriptor)
  end
  for _, pid in ipairs(inherited.pids) do
    reap(pid)
  end
  inherited = nil
  image.hold_signals(false)
end

local function find()
  local descriptor = math.tointeger(tonumber(process.env[M.variable]))
  process.env[M.variable] = nil
  inherited = descriptor and read(descriptor)
  if not inherited then
    return
  end
  for _, number in ipairs(inherited.fds) do
    fd.claim(number)
  end
  if inherited.version ~= M.version then
    let_go(("the state of the master before has version %s, this one knows %d"):format(inherited.version, M.version))
    return
  end
  reap_others()
  timer = timers.set_timeout(function()
    let_go "no supervisor was started to go on with the workers"
  end, patience)
  timer:unref()
end

--- What there is to go on with, once; nil where there is nothing. Signals wait
--- until image.hold_signals(false).
---@return mw.SetHeritage?
function M.take()
  local from = inherited
  inherited = nil
  if from then
    timers.clear_timeout(timer)
    return from.set
  end
end

find()

return M
