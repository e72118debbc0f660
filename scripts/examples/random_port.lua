-- Workers that choose a port: listen(0) is the same free port for all of them,
-- a second listen(0) another one.
--   scripts/run scripts/examples/random_port.lua [workers]

local cluster = require "mw.cluster"
local http = require "mw.http"
local process = require "mw.process"

if cluster.is_worker then
  for _, name in ipairs { "public", "private" } do
    local server = http.create_server(function(_, res)
      res:finish(("%s, worker %d\n"):format(name, cluster.worker.id))
    end)
    server:listen(0, "127.0.0.1")
  end
  return
end

cluster.on("listening", function(worker, address)
  print(("worker %d listens on %s:%d"):format(worker.id, address.address, address.port))
  io.stdout:flush()
end)

for _ = 1, tonumber(arg[1] or 2) do
  cluster.fork()
end

process.on("SIGINT", function()
  cluster.disconnect()
end)
