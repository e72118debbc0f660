-- Opens many keep-alive connections to a server, each of which has served a
-- request, and prints how many bytes of memory each costs the server.
--   http_idle.lua [connections]

local mw = require "mw"
local net = require "mw.net"

local count = tonumber(arg[1]) or 10000
local folder = arg[0]:match "^(.*/)" or ""

local function anonymous_bytes(pid)
  for line in io.lines(("/proc/%d/smaps_rollup"):format(pid)) do
    local size = line:match "^Anonymous:%s+(%d+) kB"
    if size then
      return size * 1024
    end
  end
end

local options = { stdio = { "ignore", "pipe", "inherit" }, limits = { nofile = count + 100 } }
local server = mw.child_process.spawn(mw.process.exec_path, { folder .. "http_server.lua" }, options)
local port = tonumber(server.stdout:lines()())
local sockets = {}

local function open_one()
  local socket = net.connect(port, "127.0.0.1")
  assert(socket:wait "connect")
  socket:write "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
  assert(socket:read())
  sockets[#sockets + 1] = socket
end

open_one()
local before = anonymous_bytes(server.pid)
for _ = 2, count do
  open_one()
end
print((anonymous_bytes(server.pid) - before) / (count - 1))
server:kill()
server:wait "exit"
os.exit(0)
