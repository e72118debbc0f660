-- The options of a supervisor: what they may be, and what they are where
-- nothing is said.

local options = require "mw.options"
local policies = require "mw.cluster.policies"
local uv = require "luv"

local M = {}

local positive = options.integer(1)

-- A table of options within the options.
local function group(what, schema)
  return function(value)
    if type(value) ~= "table" then
      return "table"
    end
    options.check(what, value, schema)
  end
end

local function worker_count(value)
  if value ~= "auto" and positive(value) then
    return "integer of at least 1, or 'auto'"
  end
end

local function notifier(value)
  if type(value) ~= "table" or (value.file == nil) == (value.script == nil) then
    return "table with 'file' or 'script'"
  end
  options.check("supervisor: notifier", value, { file = options.name, script = options.name, args = options.list })
end

local function watched(value)
  local expected = type(value) ~= "boolean" and options.list(value)
  return expected and "boolean or " .. expected or nil
end

local function place(value)
  if type(value) ~= "boolean" and options.name(value) then
    return "boolean or name of a folder"
  end
end

local schema = {
  script = options.name,
  args = options.list,
  workers = worker_count,
  restart = group("supervisor: restart", {
    limit = options.integer(0),
    window = positive,
    delay = options.integer(0),
    max_delay = options.integer(0),
  }),
  heartbeat = group("supervisor: heartbeat", { interval = positive, timeout = positive }),
  stall_warning = options.integer(0),
  ready = options.one_of("listening", "message", "script"),
  ready_timeout = positive,
  graceful_timeout = options.integer(0),
  max_memory = positive,
  max_requests = positive,
  max_lifetime = positive,
  preload = options.list,
  scheduling_policy = policies.check,
  output = options.one_of("plain", "prefix", "json"),
  output_budget = positive,
  crash_dir = options.name,
  watch = watched,
  notifier = notifier,
  survive = place,
}

local defaults = {
  args = {},
  workers = "auto",
  restart = { limit = 5, window = 60000, delay = 100, max_delay = 30000 },
  heartbeat = { interval = 1000, timeout = 10000 },
  stall_warning = 1000,
  ready = "listening",
  ready_timeout = 10000,
  graceful_timeout = 5000,
  output = "plain",
  output_budget = 1048576,
}

local function merge(given, base)
  local merged = {}
  for _, source in ipairs { base, given } do
    for key, value in pairs(source) do
      merged[key] = value
    end
  end
  return merged
end

--- Checks options and adds what they leave out; raises for what can't be meant.
---@param what string the function that takes them
---@param given table not changed
---@return table
function M.complete(what, given)
  options.argument(what, "options", given, options.table)
  options.argument(what, "script", given.script, options.name)
  options.check(what, given, schema)
  local settings = merge(given, defaults)
  settings.restart = merge(settings.restart, defaults.restart)
  settings.heartbeat = merge(settings.heartbeat, defaults.heartbeat)
  settings.args = table.move(settings.args, 1, #settings.args, 1, {})
  if settings.workers == "auto" then
    settings.workers = uv.available_parallelism()
  end
  if settings.survive then
    settings.survive = require("mw.supervisor.state_folder").place(settings.survive, settings.script)
  else
    settings.survive = nil
  end
  return settings
end

return M
