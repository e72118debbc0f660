-- Lets wrk ask a server for some seconds, and prints the CPU time that the
-- server took for one request, in µs.
--   http_hello.lua mwrun|nginx|node keep|browser|close [seconds]

local mw = require "mw"
local net = require "mw.net"

local server_name, how, seconds = arg[1], arg[2], arg[3] or "2"
local folder = arg[0]:match "^(.*/)" or ""

local nginx_conf = [[
daemon off; master_process off; worker_processes 1; pid %s/pid; error_log /dev/null;
events { worker_connections 20000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600; default_type text/plain;
  server { listen 127.0.0.1:%d backlog=511; location / { return 200 "hello, world\n"; } } }
]]

local node_code = [[
const server = require("http").createServer((req, res) => {
  res.setHeader("Content-Type", "text/plain"); res.end("hello, world\n") })
server.listen(0, "127.0.0.1", () => console.log(server.address().port))
]]

-- The nine headers that a browser sends.
local browser_headers = {
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Accept-Language: en-US,en;q=0.5",
  "Accept-Encoding: gzip, deflate, br",
  "Upgrade-Insecure-Requests: 1",
  "Sec-Fetch-Dest: document",
  "Sec-Fetch-Mode: navigate",
  "Sec-Fetch-Site: none",
  "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark",
}

local function free_port()
  local server = net.create_server():listen(0, "127.0.0.1")
  local port = server:address().port
  server:close()
  return port
end

local function start_nginx()
  local path, port = os.tmpname(), free_port()
  os.remove(path)
  mw.child_process.exec_file_sync("mkdir", { path })
  local file <close> = assert(io.open(path .. "/conf", "w"))
  file:write(nginx_conf:format(path, port))
  file:flush()
  local child = mw.child_process.spawn("nginx", { "-c", path .. "/conf", "-e", "/dev/null" }, { stdio = "ignore" })
  child:once("exit", function()
    mw.child_process.exec_file_sync("rm", { "-r", path })
  end)
  repeat
    local socket = net.connect(port, "127.0.0.1")
    local connected = socket:wait "connect"
    socket:destroy()
  until connected
  return child, port
end

local function start_printing(command, args)
  local child = mw.child_process.spawn(command, args, { stdio = { "ignore", "pipe", "inherit" } })
  return child, tonumber(child.stdout:lines()())
end

local starts = {
  nginx = start_nginx,
  node = function()
    return start_printing("node", { "-e", node_code })
  end,
  mwrun = function()
    return start_printing(mw.process.exec_path, { folder .. "http_server.lua" })
  end,
}

local function cpu_seconds(pid)
  local file <close> = assert(io.open(("/proc/%d/stat"):format(pid)))
  local user, system = file:read("a"):match "%) %S %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
  return (user + system) / 100
end

local child, port = starts[server_name]()
local args = { "-t1", "-c32", "-d" .. seconds, ("http://127.0.0.1:%d/"):format(port) }
for _, header in ipairs(how == "browser" and browser_headers or how == "close" and { "Connection: close" } or {}) do
  table.insert(args, 1, header)
  table.insert(args, 1, "-H")
end
local before = cpu_seconds(child.pid)
local output = assert(mw.child_process.exec_file("wrk", args))
local used = cpu_seconds(child.pid) - before
print(used * 1e6 / tonumber(output:match "(%d+) requests in"))
child:kill()
child:wait "exit"
