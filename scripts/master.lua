-- One port, all cores: starts workers that share a port, replaces those that
-- die, and lets all finish their work when it is told to stop.
--   scripts/run scripts/master.lua [port [workers]]

local cluster = require "mw.cluster"
local process = require "mw.process"
local uv = require "luv"

local function argument(index, default, least)
  local value = math.tointeger(tonumber(arg[index] or default))
  if not value or value < least then
    io.stderr:write "usage: master.lua [port [workers]]\n"
    process.exit(2)
  end
  return value
end

local port, worker_count = argument(1, 8000, 0), argument(2, uv.available_parallelism(), 1)

local function say(text, ...)
  print(text:format(...))
  io.stdout:flush()
end

cluster.setup_master {
  exec = arg[0]:gsub("[^/]*$", "worker.lua"),
  args = { tostring(port) },
}

local has_served, is_stopping = false, false

cluster.on("listening", function(worker, address)
  has_served = true
  say("worker %d, pid %d, serves http://%s:%d/", worker.id, worker.process.pid, address.address, address.port)
end)

cluster.on("exit", function(worker, code, signal)
  if is_stopping then
    return
  elseif not has_served then
    say "no worker could start: see above"
    process.exit(1)
  end
  say("worker %d has ended, %s: another takes its place", worker.id, signal or "status " .. code)
  cluster.fork()
end)

for _, name in ipairs { "SIGTERM", "SIGINT" } do
  process.on(name, function()
    if is_stopping then
      process.exit(1) -- the second time: at once
    end
    is_stopping = true
    say "stopping: what is under way is answered first"
    cluster.disconnect(function()
      process.exit(0)
    end)
  end)
end

for _ = 1, worker_count do
  cluster.fork()
end
