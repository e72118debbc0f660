-- What signals to the master mean.

local one_at_a_time = require "mw.supervisor.one_at_a_time"
local process = require "mw.process"

local M = {}

local function nothing() end

-- The first one stops as it should be, the second at once.
local function stop(supervisor)
  if supervisor:is_stopping() then
    supervisor:kill()
  else
    supervisor:stop(nothing)
  end
end

local function scale_by(change)
  return function(supervisor)
    supervisor:scale(math.max(1, supervisor:worker_count() + change), nothing)
  end
end

local meanings = {
  SIGHUP = function(_, reload)
    reload()
  end,
  SIGTERM = stop,
  SIGINT = stop,
  SIGQUIT = function(supervisor)
    supervisor:stop(nothing)
    supervisor:kill()
  end,
  SIGUSR2 = function(supervisor)
    supervisor:_run_again()
  end,
  SIGTTIN = scale_by(1),
  SIGTTOU = scale_by(-1),
}

-- What ends a script that goes on when its workers have gone. What else has had
-- a meaning has none then: it does no harm.
local ends_a_script = { SIGTERM = true, SIGINT = true, SIGQUIT = true }

local are_harmless = false

local function make_harmless()
  if are_harmless then
    return
  end
  are_harmless = true
  for name in pairs(meanings) do
    if not ends_a_script[name] then
      process.on(name, nothing)
    end
  end
end

--- Lets a supervisor hear the signals; returns a function that ends it.
---@param supervisor mw.Supervisor
---@return fun()
function M.follow(supervisor)
  local listeners = {}
  local reload = one_at_a_time.new(function(done)
    supervisor:reload(done)
  end)
  for name, meaning in pairs(meanings) do
    listeners[name] = function()
      meaning(supervisor, reload)
    end
    process.on(name, listeners[name])
  end
  return function()
    make_harmless()
    for name, listener in pairs(listeners) do
      process.off(name, listener)
    end
  end
end

--- For a process that has nothing to do but to supervise: no signal changes how
--- it ends, once its workers have gone.
function M.shield_end()
  for name in pairs(ends_a_script) do
    process.on(name, nothing)
  end
end

return M
