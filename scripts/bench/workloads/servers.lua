-- Servers that say hello, ours and those of peers, for the workloads that ask
-- them. Each is started on a free port, with as many workers as is said.

local mw = require "mw"

local M = {}

local folder = arg[0]:match "^(.*/)" or ""

local nginx_conf = [[
daemon off; worker_processes %d; pid %s/pid; error_log /dev/null;
events { worker_connections 20000; }
http { access_log off; keepalive_requests 1000000000; keepalive_timeout 600; default_type text/plain;
  server { listen 127.0.0.1:%d backlog=511; location / { return 200 "hello, world\n"; } } }
]]

local wsgi_app = [[
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"hello, world\n"]
]]

local function free_port()
  local server = mw.net.create_server():listen(0, "127.0.0.1")
  local port = server:address().port
  server:close()
  return port
end

local function write(path, text)
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text))
end

-- A folder that goes when the child does.
local function folder_of()
  local path = os.tmpname()
  os.remove(path)
  mw.child_process.exec_file_sync("mkdir", { path })
  return path
end

local function start_on_port(port, path, command, args, opts)
  local child = mw.child_process.spawn(command, args, opts)
  local has_ended
  child:once("error", function() end)
  child:once("close", function()
    has_ended = true
    mw.child_process.exec_file_sync("rm", { "-r", path })
  end)
  repeat
    local socket = mw.net.connect(port, "127.0.0.1")
    local connected = socket:wait "connect"
    socket:destroy()
  until connected or has_ended
  return child, port
end

local function start_printing(command, args, env)
  local child = mw.child_process.spawn(command, args, { stdio = { "ignore", "pipe", "inherit" }, env = env })
  return child, tonumber(child.stdout:lines()())
end

local starts = {}

function starts.nginx(workers)
  local path, port = folder_of(), free_port()
  write(path .. "/conf", nginx_conf:format(workers, path, port))
  return start_on_port(port, path, "nginx", { "-c", path .. "/conf", "-e", "/dev/null" }, { stdio = "ignore" })
end

function starts.gunicorn(workers)
  local path, port = folder_of(), free_port()
  write(path .. "/hello.py", wsgi_app)
  local args = { "-w", tostring(workers), "-b", "127.0.0.1:" .. port, "--log-level", "critical", "hello:app" }
  return start_on_port(port, path, "gunicorn", args, { stdio = "ignore", cwd = path })
end

local function with(name, value)
  local env = {}
  for key, text in pairs(mw.process.env) do
    env[key] = text
  end
  env[name] = value
  return env
end

function starts.node(workers, policy)
  return start_printing("node", { folder .. "http_server.js", tostring(workers) }, with("NODE_CLUSTER_SCHED_POLICY", policy))
end

function starts.mwrun(workers, policy)
  local script = folder .. (workers > 1 and "cluster_server.lua" or "http_server.lua")
  return start_printing(mw.process.exec_path, { script, tostring(workers) }, with("MW_CLUSTER_SCHED_POLICY", policy))
end

--- Starts one.
---@param name "mwrun"|"nginx"|"node"|"gunicorn"
---@param workers integer
---@param policy? string
---@return mw.Child
---@return integer port
function M.start(name, workers, policy)
  return starts[name](workers, policy)
end

local function children_of(pid)
  local file = io.open(("/proc/%d/task/%d/children"):format(pid, pid))
  local list = {}
  for child in (file and file:read "a" or ""):gmatch "%d+" do
    list[#list + 1] = tonumber(child)
  end
  if file then
    file:close()
  end
  return list
end

--- CPU time that a process and its children have taken, in seconds.
---@param pid integer
---@return number
function M.cpu_seconds(pid)
  local file <close> = assert(io.open(("/proc/%d/stat"):format(pid)))
  local user, system = file:read("a"):match "%) %S %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
  local total = (user + system) / 100
  for _, child in ipairs(children_of(pid)) do
    total = total + M.cpu_seconds(child)
  end
  return total
end

return M
