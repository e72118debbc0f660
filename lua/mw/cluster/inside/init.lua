-- The cluster in a worker.

local InsideWorker = require "mw.cluster.inside.worker"
local Link = require "mw.cluster.messages"
local events = require "mw.cluster.events"
local fd = require "mw.core.fd"
local listening = require "mw.cluster.inside.listening"
local parent = require "mw.process.parent"
local policies = require "mw.cluster.policies"
local process = require "mw.process"
local tick = require "mw.tick"

local M = {}

-- What the master asks for.
local function taker(worker, commands)
  return function(message, descriptor, reply)
    local command = listening.commands[message.act] or commands[message.act]
    if command then
      return command(message, descriptor, reply)
    elseif descriptor then
      fd.close(descriptor)
    end
    if message.act == "disconnect" then
      worker:_leave(true)
    end
  end
end

local function exit()
  process.exit(0)
end

-- The others who listen to the end of the channel hear of it before it ends the
-- process; what they start then does not run any more.
local function watch_channel(worker, module, channel)
  process.once("disconnect", function()
    local outcome = worker:_disconnected()
    if outcome == "destroyed" then
      tick.add(exit)
    elseif outcome == "orphaned" then
      tick.add(module._on_orphaned, channel:is_cut())
    else
      module._on_dismissed()
    end
  end)
end

-- What a worker does that outlives its master.
local function add_reunion(module, worker, channel)
  --- Serves without a master.
  function module._go_on()
    worker:_go_on()
    listening.serve_alone()
  end

  --- Has a master again, at the other end of a socket.
  ---@param descriptor integer the channel's from then on
  function module._rejoin(descriptor)
    parent.reconnect(process, descriptor)
    worker:_rejoin()
    watch_channel(worker, module, channel)
  end
end

--- Becomes the worker that the environment has named. The listener of
--- `disconnect` keeps it alive as long as its master wants it.
---@param identity { id: integer, slot: integer }
---@return mw.cluster
function M.start(identity)
  local worker = InsideWorker.new(identity)
  local module = events.add_to {
    is_master = false,
    is_worker = true,
    worker = worker,
    -- What a worker does whose master is gone, or has dropped it (true), or that
    -- has closed the channel itself.
    _on_orphaned = exit,
    -- What one does that was on its way out, once nobody waits for its end.
    _on_dismissed = function() end,
    -- What the master may ask for beside what is the cluster's, by `act`.
    _commands = {},
  }
  for name, value in pairs(policies.constants) do
    module[name] = value
  end
  local channel = process.channel
  worker._link = Link.new(channel, taker(worker, module._commands))
  watch_channel(worker, module, channel)
  add_reunion(module, worker, channel)
  listening.start(worker._link, function()
    worker.state = "listening"
  end)
  worker._link:send { act = "online" }
  channel:flush() -- the script may take long before it returns to the loop
  return module
end

return M
