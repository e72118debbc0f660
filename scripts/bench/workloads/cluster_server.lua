-- The server that says hello, on as many workers as the argument says; the
-- master writes the port to standard output.

local cluster = require "mw.cluster"

if cluster.is_worker then
  return dofile(arg[0]:match "^(.*/)" .. "http_server.lua")
end

local workers = tonumber(arg[1])
local listening = 0
for _ = 1, workers do
  cluster.fork()
end
cluster.on("listening", function(_, address)
  listening = listening + 1
  if listening == workers then
    io.write(address.port, "\n")
    io.stdout:flush()
  end
end)
