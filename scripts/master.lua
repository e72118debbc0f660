-- A small master: cuts one task into parts, forks a worker for each, collects
-- what they print, and ends with a summary. It restarts nobody and shares no
-- port: clusters are not built yet.
--   scripts/run scripts/master.lua [workers [limit]]

local child_process = require "mw.child_process"
local process = require "mw.process"
local uv = require "luv"

local function argument(index, default)
  local value = math.tointeger(tonumber(arg[index] or default))
  if not value or value < 1 then
    io.stderr:write "usage: master.lua [workers [limit]]\n"
    os.exit(2)
  end
  return value
end

local worker_count = argument(1, uv.available_parallelism())
local limit = argument(2, 1000000)
local worker_script = arg[0]:gsub("[^/]*$", "worker.lua")
local started = process.hrtime()
local primes, failures = 0, 0

local function start_worker(first, last)
  local worker = child_process.fork(worker_script, { first, last }, { silent = true, die_with_parent = true })
  local output = ""
  worker.stdout:on("data", function(chunk)
    output = output .. chunk
  end)
  worker.stderr:pipe(process.stderr, { finish = false })
  worker:on("error", function(err)
    print("worker could not be started: " .. tostring(err))
    failures = failures + 1
  end)
  worker:on("close", function(code, signal)
    if not worker.pid then
      return
    end
    print(("worker %d: %d to %d: %s"):format(worker.pid, first, last, output:match "%d+" or signal or "status " .. code))
    primes = primes + (tonumber(output) or 0)
    failures = failures + (code == 0 and 0 or 1)
  end)
end

for index = 1, worker_count do
  start_worker((index - 1) * limit // worker_count + 1, index * limit // worker_count)
end

process.on("before_exit", function()
  local seconds = (process.hrtime() - started) / 1e9
  print(("%d primes up to %d in %.2f s; workers: %d, failed: %d"):format(primes, limit, seconds, worker_count, failures))
  process.exit(failures > 0 and 1 or 0)
end)
