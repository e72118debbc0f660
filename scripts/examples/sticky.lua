-- Sessions that live in the memory of a worker: the same client comes to the
-- same worker, so that it finds its own again. Another address, another worker:
--   scripts/run scripts/examples/sticky.lua [port]
--   curl http://127.0.0.1:8000/; curl --interface 127.0.0.2 http://127.0.0.1:8000/

local cluster = require "mw.cluster"
local http = require "mw.http"
local process = require "mw.process"

if cluster.is_worker then
  local visits = {}
  local server = http.create_server(function(req, res)
    local client = req.socket.remote_address
    visits[client] = (visits[client] or 0) + 1
    res:finish(("%s: visit %d, worker %d\n"):format(client, visits[client], cluster.worker.id))
  end)
  server:listen(tonumber(arg[1] or 8000), "127.0.0.1")
  return
end

cluster.setup_master { scheduling_policy = cluster.SCHED_STICKY }
for _ = 1, 4 do
  cluster.fork()
end

-- Who is there decides who gets whom: so nobody is told before all are.
local listening = 0
cluster.on("listening", function(_, address)
  listening = listening + 1
  if listening == 4 then
    print(("http://127.0.0.1:%d/"):format(address.port))
    io.stdout:flush()
  end
end)

process.on("SIGINT", function()
  cluster.disconnect()
end)
