-- The master that `mwrun --workers` asks for: keeps the script's workers alive,
-- and runs nothing of it itself.

local cluster = require "mw.cluster"
local json = require "mw.json"
local process = require "mw.process"
local signals = require "mw.supervisor.signals"
local succession = require "mw.supervisor.succession"
local supervisor = require "mw.supervisor"

local M = {}

local variable = "MW_SUPERVISOR"

-- How large the heap may get until it is collected, in percent of what lives.
local garbage_pause = 110

local function fail(text, ...)
  io.stderr:write("mwrun: ", text:format(...), "\n")
  process.exit(1)
end

-- The supervisor's options in the environment, a JSON object.
local function environment_options()
  local text = process.env[variable]
  process.env[variable] = nil
  succession.keep_variable(variable, text)
  local ok, opts = pcall(json.decode, text or "{}")
  if not ok or type(opts) ~= "table" then
    fail("%s: a JSON object expected, got %s", variable, text)
  end
  return opts
end

local function count_of(text)
  local count = math.tointeger(tonumber(text))
  if text == "auto" then
    return text
  elseif not count or count < 1 then
    fail("--workers: a whole number from 1 up or 'auto' expected, got '%s'", text)
  end
  return count
end

-- Those that are not ours are the workers'.
local own = { ["-w"] = 1, ["--workers"] = 1, ["--watch"] = 0 }

local function worker_options(words)
  local list, index = {}, 1
  while words[index] do
    local skipped = own[words[index]]
    if skipped then
      index = index + skipped
    elseif not words[index]:find "^%-w." and not words[index]:find "^%-%-workers=" then
      list[#list + 1] = words[index]
    end
    index = index + 1
  end
  return list
end

--- Starts the master of a command line.
---@param workers string? how many; where absent, the environment says it, or one
---@param watch boolean whether changed files make them start anew
---@param options string[] all that stand before the script
---@param words string[] the script and its arguments
function M.start(workers, watch, options, words)
  local script = words[1]
  if not script or script == "-" then
    fail "--workers and --watch need a script in a file"
  end
  local opts = environment_options()
  opts.script, opts.args = script, table.move(words, 2, #words, 1, {})
  opts.workers = workers and count_of(workers) or opts.workers or 1
  opts.watch = opts.watch or watch
  opts.ready = opts.ready or (watch and "script" or nil)
  -- Each worker that ends leaves much behind: it shall not pile up.
  collectgarbage("incremental", garbage_pause)
  local ok, problem = pcall(function()
    -- The policy is what it is the first time.
    cluster.setup_master { exec_argv = worker_options(options), scheduling_policy = opts.scheduling_policy }
    supervisor.start(opts)
  end)
  if not ok then
    fail("%s", problem)
  end
  signals.shield_end()
end

return M
