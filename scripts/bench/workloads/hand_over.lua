-- Accepts connections and sends each to a forked child, which answers it;
-- prints the microseconds of CPU that both took for one. Argument: count.

local mw = require "mw"

local child_process, net, process = mw.child_process, mw.net, mw.process

local function cpu()
  local usage = process.cpu_usage()
  return usage.user + usage.system
end

if process.send then
  local before = cpu()
  process.on("message", function(message, socket)
    if message == "socket" then
      socket:finish "x"
    else
      process.send(cpu() - before)
    end
  end)
  return
end

local count = arg[1]
local child = child_process.fork(arg[0])
local server = net.create_server { pause_on_connect = true }
server:on("connection", function(socket)
  child:send("socket", socket)
end)
server:listen(0, "127.0.0.1")
server:wait "listening"
mw.sleep(200)
local before = cpu()
local client = child_process.spawn(process.exec_path, {
  (arg[0]:gsub("[^/]*$", "connect.lua")),
  tostring(server:address().port),
  count,
}, { stdio = "inherit" })
client:wait "exit"
child:send "report"
local cpu_of_child = child:wait "message"
print((cpu() - before + cpu_of_child) / tonumber(count))
child:disconnect()
server:close()
