-- The master's side of fork servers: one warm process for each set of modules,
-- started when it is first needed. Its workers are our own children.

local core = require "mw.core.fork_server"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local native = require "mw.core.process"
local process = require "mw.process"

local M = {
  --- Whether workers are made in the way that needs nothing of Linux's own.
  portable = false,
  --- How long modules may take to load, in milliseconds: we stand still
  --- meanwhile.
  patience = 30000,
}

-- How long the titles of workers may be.
local title_room = (" "):rep(1024)

---@class mw.ForkServer
---@field socket integer
---@field process userdata

---@type table<string, mw.ForkServer>
local servers = {}

-- What decides where code is found must be equal before it is loaded.
local search_variables = {
  "LUA_PATH", "LUA_PATH_5_4", "LUA_CPATH", "LUA_CPATH_5_4", "MWRUN_LUA_DIR",
}

local function ignores_environment(exec_argv)
  for _, option in ipairs(exec_argv) do
    if option == "-E" then
      return true
    end
  end
  return false
end

---@class mw.Preload
---@field modules string[]
---@field exec_argv string[]
---@field env table<string, any>? the worker's; ours where absent
---@field cwd string? the worker's; ours where absent

local function key_of(preload)
  local parts = { core.identity(), preload.cwd or "", process.cwd() or "", #preload.modules }
  table.move(preload.modules, 1, #preload.modules, #parts + 1, parts)
  parts[#parts + 1] = tostring(ignores_environment(preload.exec_argv))
  local env = preload.env or process.env
  for _, name in ipairs(search_variables) do
    parts[#parts + 1] = tostring(env[name])
  end
  return table.concat(parts, "\0")
end

local function environment_of(preload)
  -- The C library looks up all functions at once, and not again in each worker.
  local list = { "MW_FORK_SERVER_FD=3", "LD_BIND_NOW=1" }
  for name, value in pairs(preload.env or process.env) do
    list[#list + 1] = name .. "=" .. tostring(value)
  end
  return list
end

local function end_server(key, server)
  if servers[key] == server then
    servers[key] = nil
  end
  if server.socket then
    fd.close(server.socket)
    server.socket = nil
  end
end

-- Its socket is all that it lives for: when that is closed, it ends.
local function launch(key, preload)
  local ours, theirs = core.pair()
  if not ours then
    return nil, theirs, "pipe"
  end
  local server = { socket = ours }
  local args = { process.exec_path, ignores_environment(preload.exec_argv) and "-E" or nil }
  args[#args + 1] = "--"
  table.move(preload.modules, 1, #preload.modules, #args + 1, args)
  args[#args + 1] = title_room
  local handle, code, stage = native.spawn({
    file = "/proc/self/exe", -- ours, whatever is at its path by now
    args = args,
    env = environment_of(preload),
    cwd = preload.cwd,
    fds = { n = 4, false, 1, 2, theirs },
    death_signal = native.signals.SIGKILL,
  }, function()
    end_server(key, server)
  end)
  fd.close(theirs)
  if not handle then
    fd.close(ours)
    return nil, code, stage
  end
  handle:unref()
  server.process = handle
  return server
end

local function preload_error(code, reason)
  local module, text = reason:match "^(.-)\n(.*)$"
  if module then
    local missing = text:find(("module '%s' not found"):format(module), 1, true)
    code = missing and "ERR_MODULE_NOT_FOUND" or "ERR_PRELOAD_FAILED"
    return errors.new(code, ("%s: cannot preload '%s': %s"):format(code, module, text), { module = module })
  elseif code == "ETIMEDOUT" then
    return errors.system(code, ("preload modules in %d ms"):format(M.patience))
  end
  return errors.new("ERR_PRELOAD_FAILED", "ERR_PRELOAD_FAILED: the fork server ended while it loaded its modules")
end

-- A server that is ready; nil and an error object, or the error's name and the
-- stage where it could not even be started.
local function server_for(key, preload)
  if servers[key] then
    return servers[key]
  end
  local server, code, stage = launch(key, preload)
  if not server then
    return nil, code, stage
  end
  local ready, failure, reason = core.wait(server.socket, M.patience)
  if not ready then
    end_server(key, server)
    server.process:kill(native.signals.SIGKILL)
    return nil, preload_error(failure, reason)
  end
  servers[key] = server
  return server
end

local function ask(server, engine, on_exit)
  engine.fork_server, engine.double_fork = server.socket, M.portable
  return native.spawn(engine, on_exit)
end

--- Starts a worker, as `spawn` of mw.core.process does a program.
---@param preload mw.Preload
---@param engine table the engine's options; the worker's
---@param on_exit fun(code: integer?, signal: string?)
---@return userdata? handle
---@return string|mw.Error|nil code the system's refusal by name, or an error
---@return string? stage
function M.spawn(preload, engine, on_exit)
  local key = key_of(preload)
  local server, code, stage, handle
  -- One that has ended since is seen no sooner than now.
  for _ = 1, 2 do
    server, code, stage = server_for(key, preload)
    if not server then
      return nil, code, stage
    end
    handle, code, stage = ask(server, engine, on_exit)
    if handle or stage ~= "server" then
      return handle, code, stage
    end
    end_server(key, server)
    if code ~= "EPIPE" then
      server.process:kill(native.signals.SIGKILL)
      break
    end
  end
  return nil, code, stage
end

--- Lets all servers end: the next worker comes from one that reads its code
--- anew. Workers that are there stay.
function M.replace()
  for key, server in pairs(servers) do
    end_server(key, server)
  end
end

return M
