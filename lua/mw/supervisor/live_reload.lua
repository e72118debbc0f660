-- Reloads when the workers' files change.

local Watcher = require "mw.supervisor.watcher"
local one_at_a_time = require "mw.supervisor.one_at_a_time"
local watch_scope = require "mw.supervisor.watch_scope"

local M = {}

local function describe(paths)
  local others = #paths > 1 and (" and %d more"):format(#paths - 1) or ""
  return ("changed: %s%s"):format(paths[1], others)
end

--- Begins; close() of what it returns ends it.
---@param settings { script: string, watch: true|string[] }
---@param host { clock: mw.SupervisorClock, log: fun(text: string), reload: fun(done: fun()) }
---@return mw.Watcher
function M.start(settings, host)
  local reload = one_at_a_time.new(host.reload)
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
