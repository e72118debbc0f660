-- Lets wrk ask a server for some seconds, by a thread and 32 connections for
-- each of its workers, and prints the CPU time that the server took for one
-- request, in µs.
--   http_hello.lua SERVER[:WORKERS[:POLICY]] keep|browser|close [seconds]

local mw = require "mw"
local servers = require "./servers"

local name, workers, policy = arg[1]:match "^(%a+):?(%d*):?(%a*)$"
local how, seconds = arg[2], arg[3] or "2"

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

workers = math.tointeger(tonumber(workers) or 1)
local child, port = servers.start(name, workers, policy ~= "" and policy or nil)
local args = { "-t" .. workers, "-c" .. 32 * workers, "-d" .. seconds, ("http://127.0.0.1:%d/"):format(port) }
for _, header in ipairs(how == "browser" and browser_headers or how == "close" and { "Connection: close" } or {}) do
  table.insert(args, 1, header)
  table.insert(args, 1, "-H")
end
local before = servers.cpu_seconds(child.pid)
local output = assert(mw.child_process.exec_file("wrk", args))
local used = servers.cpu_seconds(child.pid) - before
print(used * 1e6 / tonumber(output:match "(%d+) requests in"))
child:kill()
child:wait "exit"
