-- A master that accepts connections and hands each to the next of its workers,
-- the same script, which answers it. The master never reads a byte.
--   scripts/run scripts/examples/hand_over.lua [port [workers]]
-- For instance, in bash: for i in 1 2 3 4; do cat </dev/tcp/127.0.0.1/8000; done

local mw = require "mw"

local process = mw.process

if process.send then
  process.on("message", function(_, socket)
    if socket then -- nil where its client is gone already
      socket:on("error", function() end)
      socket:finish(("hello from %d\n"):format(process.pid))
    end
  end)
  return
end

local workers = {}

for index = 1, tonumber(arg[2]) or 2 do
  local worker = mw.child_process.fork(arg[0])
  worker:on("exit", function(code, signal)
    print(("worker %d has ended: %s"):format(worker.pid, code or signal))
    process.exit(1)
  end)
  workers[index] = worker
end

local next_worker = 1
local server = mw.net.create_server { pause_on_connect = true }

server:on("connection", function(socket)
  workers[next_worker]:send("connection", socket)
  next_worker = next_worker % #workers + 1
end)
server:on("error", function(err)
  io.stderr:write(tostring(err), "\n")
  process.exit(1)
end)
server:listen(tonumber(arg[1]) or 8000, "127.0.0.1", function()
  print("listening on 127.0.0.1:" .. server:address().port)
  io.stdout:flush()
end)
