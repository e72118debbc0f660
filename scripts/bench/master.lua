-- What a supervised master costs: its memory, how much that grows over a
-- thousand restarts, its time while nothing happens.
--   build/mwrun scripts/bench/master.lua [workers: 8] [restarts: 1000] [idle seconds: 20]

local mw = require "mw"

local process = mw.process

local workers, restarts, idle = tonumber(arg[1] or 8), tonumber(arg[2] or 1000), tonumber(arg[3] or 20)
local folder = arg[0]:match "^(.*)/" or "."

-- Where the machine is busy, some are killed before they are ready: no delay.
local env = { MW_SUPERVISOR = '{"restart": {"limit": 1000000, "delay": 1, "max_delay": 1}}' }
for name, value in pairs(process.env) do
  env[name] = value
end
local command = { "-w", workers, folder .. "/workloads/chaos_worker.lua", 0 }
local master = mw.child_process.spawn(process.exec_path, command, { env = env, stdio = "ignore", die_with_parent = true })

local function read(name)
  local file = assert(io.open(("/proc/%d/%s"):format(master.pid, name)))
  local text = file:read "a"
  file:close()
  return text
end

local function children()
  local pids = {}
  for pid in read(("task/%d/children"):format(master.pid)):gmatch "%d+" do
    pids[#pids + 1] = math.tointeger(tonumber(pid))
  end
  return pids
end

local function memory(field)
  return tonumber(read("smaps_rollup"):match("\n" .. field .. ":%s*(%d+)"))
end

-- Kills the one that has served longest, so many times.
local function restart(count)
  for _ = 1, count do
    local pids = children()
    process.kill(pids[1], "SIGKILL")
    while children()[1] == pids[1] or #children() < workers do
      mw.sleep(1)
    end
    mw.sleep(5)
  end
end

while #children() < workers do
  mw.sleep(10)
end
mw.sleep(500)
print(("memory: %d KiB of PSS, %d KiB of its own"):format(memory "Pss", memory "Private_Dirty"))

local before = tonumber(read("schedstat"):match "%d+")
mw.sleep(idle * 1000)
local spent = tonumber(read("schedstat"):match "%d+") - before
print(("idle: %.3f %% of a core with %d workers"):format(spent / (idle * 1e9) * 100, workers))

-- What it keeps of the last ones is full after some dozen.
local first = math.max(restarts // 10, 50)
restart(first)
mw.sleep(500)
local size = memory "Private_Dirty"
restart(restarts - first)
mw.sleep(500)
print(("after %d restarts: %+d KiB, of %d KiB after the first %d"):format(
  restarts, memory "Private_Dirty" - size, size, first
))
master:kill "SIGTERM"
master:wait "close"
