-- One port and many workers: which of them answers, the policy says. Ask it
-- some times, with curl http://127.0.0.1:8000/, and kill a worker in between.
--   scripts/run scripts/examples/shared_port.lua [rr|none|least|reuseport|sticky [port]]

local cluster = require "mw.cluster"
local http = require "mw.http"
local process = require "mw.process"

if cluster.is_worker then
  local server = http.create_server(function(_, res)
    res:finish(("worker %d, pid %d\n"):format(cluster.worker.id, process.pid))
  end)
  server:listen(tonumber(arg[2] or 8000), "127.0.0.1")
  return
end

cluster.setup_master { scheduling_policy = arg[1] or "rr" }
for _ = 1, 4 do
  cluster.fork()
end

cluster.on("listening", function(worker, address)
  print(("worker %d, pid %d: port %d"):format(worker.id, worker.process.pid, address.port))
  io.stdout:flush()
end)

cluster.on("exit", function(worker)
  if not worker.exited_after_disconnect then
    cluster.fork()
  end
end)

process.on("SIGINT", function()
  cluster.disconnect()
end)
