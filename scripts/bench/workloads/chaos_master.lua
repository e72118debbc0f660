-- A supervisor that does what its parent tells it, and how it went.
--   chaos_master.lua PORT WORKERS

local mw = require "mw"

local process = mw.process

local set = mw.supervisor.start {
  script = arg[0]:gsub("[^/]*$", "chaos_worker.lua"),
  args = { arg[1] },
  workers = tonumber(arg[2]),
  restart = { limit = 1000000 },
  heartbeat = { interval = 100, timeout = 10000 },
  max_memory = 48 * 1024 * 1024,
}

local function ready()
  local list = {}
  for _, worker in ipairs(set:workers()) do
    list[#list + 1] = worker.state == "ready" and worker.pid or nil
  end
  return list
end

-- The fewest ready workers since it was last asked, and how many have ended.
local fewest, exits = math.huge, 0

set:on("exit", function()
  fewest, exits = math.min(fewest, #ready()), exits + 1
end)

local orders = {}

function orders.ready()
  while #ready() < set:worker_count() do
    mw.sleep(1)
  end
end

function orders.reload()
  local ok, err = set:reload()
  return ok, err and tostring(err)
end

function orders.scale(count)
  local ok, err = set:scale(count)
  return ok, err and tostring(err)
end

-- Kills a worker; returns its pid, and how many µs later its end was seen, the
-- next one ran, and was ready.
function orders.kill()
  local pids = ready()
  local victim = pids[math.random(#pids)]
  local start = process.hrtime()
  process.kill(victim, "SIGKILL")
  local delays = {}
  for index, event in ipairs { "exit", "online", "ready" } do
    set:wait(event)
    delays[index] = (process.hrtime() - start) // 1000
  end
  return victim, delays
end

-- Waits until a worker has ended since the last report.
function orders.exit()
  while exits == 0 do
    mw.sleep(1)
  end
end

function orders.report()
  local result = { fewest = fewest < math.huge and fewest or #ready(), exits = exits }
  fewest, exits = math.huge, 0
  return result
end

process.on("message", function(order)
  mw.go(function()
    process.send { values = table.pack(orders[order[1]](order[2])) }
  end)
end)
