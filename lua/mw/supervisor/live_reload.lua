-- Reloads when the workers' files change.

local Watcher = require "mw.supervisor.watcher"
local watch_scope = require "mw.supervisor.watch_scope"

local M = {}

--- A function that asks for a reload: while one is under way, for one more after
--- it, however often it is called.
---@param reload fun(done: fun())
---@return fun()
function M.one_at_a_time(reload)
  local is_running, is_wanted = false, false
  local function start()
    if is_running then
      is_wanted = true
      return
    end
    is_running, is_wanted = true, false
    reload(function()
      is_running = false
      if is_wanted then
        start()
      end
    end)
  end
  return start
end

local function describe(paths)
  local others = #paths > 1 and (" and %d more"):format(#paths - 1) or ""
  return ("changed: %s%s"):format(paths[1], others)
end

--- Begins; close() of what it returns ends it.
---@param settings { script: string, watch: true|string[] }
---@param host { clock: mw.SupervisorClock, log: fun(text: string), reload: fun(done: fun()) }
---@return mw.Watcher
function M.start(settings, host)
  local reload = M.one_at_a_time(host.reload)
  return Watcher.new(watch_scope.of(settings.script, settings.watch), {
    clock = host.clock,
    log = host.log,
    on_change = function(paths)
      host.log(describe(paths))
      reload()
    end,
  })
end

return M
