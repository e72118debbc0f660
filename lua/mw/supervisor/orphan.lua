-- A worker whose master is gone, and which survives that: it goes on to serve,
-- and looks for the next master, which takes it over. (mw.supervisor.survival is
-- the other side.)

local StateFolder = require "mw.supervisor.state_folder"
local cluster = require "mw.cluster"
local fd = require "mw.core.fd"
local listening = require "mw.cluster.inside.listening"
local process = require "mw.process"
local socket = require "mw.core.socket"
local standard_output = require "mw.process.standard_output"
local timers = require "mw.timers"

---@class mw.OrphanHost
---@field folder string where masters are found
---@field spares integer[] copies of the master's own standard streams, by number
---@field is_script boolean whether it may be no server
---@field limit_time fun() lets it end in time
---@field drain fun() serves what is under way, and ends

local M = {}

-- How often a master is looked for, in milliseconds.
local period = 250

---@type mw.OrphanHost
local host
local is_alone, search = false, nil

-- What the master before had read, whoever has its streams reads now.
local function use_spares()
  io.stdout:flush()
  for number, spare in ipairs(host.spares) do
    fd.replace(spare, number)
  end
end

local function stop_searching()
  timers.clear_interval(search)
  search = nil
end

-- The folder is ours, and so only we, and root, can listen there.
local function connect()
  local descriptor = StateFolder.connect(host.folder)
  local _, uid = nil, nil
  if descriptor then
    _, uid = socket.peer(descriptor)
  end
  if uid == process.getuid() or uid == 0 then
    return descriptor
  elseif descriptor then
    fd.close(descriptor)
  end
end

-- First all that the master before has passed on.
local function look()
  local descriptor = listening.is_alone() and connect()
  if descriptor then
    stop_searching()
    is_alone = false
    cluster._rejoin(descriptor)
  end
end

-- In place of the channel, the search keeps a worker alive that has no port; but
-- no script that is to end with its last handle.
local function begin()
  is_alone = true
  use_spares()
  cluster._go_on()
  search = timers.set_interval(look, period)
  if host.is_script and not listening.is_used() then
    search:unref()
  end
end

--- Whether there is no master.
---@return boolean
function M.is_alone()
  return is_alone
end

--- Serves what is under way, without a master, and ends.
function M.leave()
  if search then
    stop_searching()
  end
  cluster.worker.exited_after_disconnect = true
  host.drain()
end

-- A new stream in the place of one that is over.
local function stream(message, descriptor)
  if descriptor then
    io.stdout:flush()
    fd.replace(descriptor, message.number)
    fd.close(descriptor)
  end
end

local function turn_away(_, descriptor)
  if descriptor then
    fd.close(descriptor)
  end
  M.leave()
end

-- Who was to end, or could not serve yet, is of no use to another master.
local function on_orphaned(is_cut)
  if is_cut and listening.is_active() then
    begin()
  else
    host.drain()
  end
end

-- What a program says to a master that is not there is lost; that shall not end
-- it, unless it is asked for: by a callback, or a listener.
local unheard = { ERR_IPC_CHANNEL_CLOSED = true, EPIPE = true, ECONNRESET = true }

local function drop_unheard(err)
  if process.listener_count "error" == 1 and not unheard[err.code] then
    error(err, 0)
  end
end

--- Lets this worker survive its master.
---@param opts mw.OrphanHost
function M.prepare(opts)
  host = opts
  for _, spare in ipairs(host.spares) do
    fd.claim(spare)
  end
  standard_output.outlive_readers()
  listening.outlive_master()
  process.on("error", drop_unheard)
  cluster._on_orphaned = on_orphaned
  cluster._on_dismissed = host.limit_time
  cluster._commands.stream, cluster._commands.turn_away = stream, turn_away
end

return M
