-- Hands connections to a forked child, 200 at a time; prints the microseconds
-- of CPU that both processes took for one, from `send` to the object that the
-- child gets. Argument: count.

local mw = require "mw"

local child_process, net, process = mw.child_process, mw.net, mw.process

local function cpu()
  local usage = process.cpu_usage()
  return usage.user + usage.system
end

if process.send then
  local before
  local sockets = {}
  process.on("message", function(message, socket)
    if message == "socket" then
      sockets[#sockets + 1] = socket
    elseif message == "begin" then
      before = cpu()
      process.send "ready"
    else
      process.send(cpu() - before)
      for _, one in ipairs(sockets) do
        one:destroy()
      end
      sockets = {}
    end
  end)
  return
end

local batch = 200
local child = child_process.fork(arg[0])
local server = net.create_server { pause_on_connect = true }
local accepted = {}
server:on("connection", function(socket)
  accepted[#accepted + 1] = socket
end)
server:listen(0, "127.0.0.1")
server:wait "listening"

local function run_batch()
  local clients = {}
  accepted = {}
  for index = 1, batch do
    clients[index] = net.connect(server:address().port, "127.0.0.1")
  end
  while #accepted < batch do
    mw.sleep(1)
  end
  child:send "begin"
  child:wait "message"
  local before = cpu()
  for _, socket in ipairs(accepted) do
    child:send("socket", socket)
  end
  child:send "end"
  local cpu_of_child = child:wait "message"
  local spent = cpu() - before + cpu_of_child
  for _, client in ipairs(clients) do
    client:destroy()
  end
  return spent
end

local spent, batches = 0, tonumber(arg[1]) // batch
for _ = 1, batches do
  spent = spent + run_batch()
end
print(spent / (batches * batch))
child:disconnect()
server:close()
