-- The cluster in a worker.

local InsideWorker = require "mw.cluster.inside.worker"
local Link = require "mw.cluster.messages"
local events = require "mw.cluster.events"
local fd = require "mw.core.fd"
local listening = require "mw.cluster.inside.listening"
local policies = require "mw.cluster.policies"
local process = require "mw.process"
local tick = require "mw.tick"

local M = {}

-- What the master asks for.
local function taker(worker)
  return function(message, descriptor, reply)
    local command = listening.commands[message.act]
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
local function watch_channel(worker, module)
  process.once("disconnect", function()
    local outcome = worker:_disconnected()
    if outcome == "destroyed" then
      tick.add(exit)
    elseif outcome == "orphaned" then
      tick.add(module._on_orphaned)
    end
  end)
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
    -- What a worker does whose master is gone, or has dropped it.
    _on_orphaned = exit,
  }
  for name, value in pairs(policies.constants) do
    module[name] = value
  end
  worker._link = Link.new(process.channel, taker(worker))
  watch_channel(worker, module)
  listening.start(worker._link, function()
    worker.state = "listening"
  end)
  worker._link:send { act = "online" }
  process.channel:flush() -- the script may take long before it returns to the loop
  return module
end

return M
