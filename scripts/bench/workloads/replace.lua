-- A master that kills one of its two workers, again and again, and forks another
-- when it hears of it; prints how many µs that takes in the median, until the
-- other listens. With modules, both come from a fork server that has loaded them.
--   replace.lua [TIMES [MODULE...]]

local cluster = require "mw.cluster"
local http = require "mw.http"
local process = require "mw.process"

if cluster.is_worker then
  local server = http.create_server(function(_, res)
    res:finish "hello, world\n"
  end)
  server:listen(0, "127.0.0.1")
  return
end

local rounds = tonumber(arg[1] or 20)
local times, killed_at = {}, nil

local function kill(worker)
  killed_at = process.hrtime()
  worker.process:kill "SIGKILL"
end

cluster.on("exit", function()
  if killed_at then
    cluster.fork()
  end
end)

local listening = 0
cluster.on("listening", function(worker)
  listening = listening + 1
  if listening < 2 then
    return
  elseif killed_at then
    table.insert(times, process.hrtime() - killed_at)
  end
  if #times < rounds then
    return kill(worker)
  end
  killed_at = nil
  table.sort(times)
  print(times[(#times + 1) // 2] / 1000)
  cluster.disconnect()
end)

if arg[2] then
  cluster.setup_master { preload = { table.unpack(arg, 2) }, cwd = arg[0]:match "^(.*)/" }
end
cluster.fork()
cluster.fork()
