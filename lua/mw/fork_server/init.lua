-- The master's side of fork servers: one for each set of modules, started when
-- it is first needed. Their workers are our own children.

local Server = require "mw.fork_server.server"
local core = require "mw.core.fork_server"
local errors = require "mw.error"
local process = require "mw.process"
local tick = require "mw.tick"

local M = {
  --- Whether workers are made in the way that needs nothing of Linux's own.
  portable = false,
  --- How long modules may take to load, in milliseconds.
  patience = 30000,
}

---@type table<string, mw.ForkServer> those that are ready
local servers = {}

-- What decides where code is found must be equal before it is loaded.
local search_variables = { "LUA_PATH", "LUA_PATH_5_4", "LUA_CPATH", "LUA_CPATH_5_4", "MWRUN_LUA_DIR" }

local function key_of(preload)
  local parts = { core.identity(), preload.cwd or "", process.cwd() or "", #preload.modules }
  table.move(preload.modules, 1, #preload.modules, #parts + 1, parts)
  parts[#parts + 1] = tostring(Server.ignores_environment(preload))
  local env = preload.env or process.env
  for _, name in ipairs(search_variables) do
    parts[#parts + 1] = tostring(env[name])
  end
  return table.concat(parts, "\0")
end

-- Starts what is to stand under this key as long as it lives.
local function start(key, preload)
  return Server.start(preload, function(server)
    if servers[key] == server then
      servers[key] = nil
    end
  end)
end

-- A server that is ready; nil and an error object, or the error's name and the
-- stage where it could not even be started.
local function server_for(key, preload)
  if servers[key] then
    return servers[key]
  end
  local server, code, stage = start(key, preload)
  local err = server and server:wait(M.patience)
  if not server or err then
    return nil, err or code, stage
  end
  servers[key] = server
  return server
end

--- Starts a worker, as `spawn` of mw.core.process does a program. Where its
--- server is still to be started, it stands still until that is ready.
---@param preload mw.Preload
---@param engine table the engine's options; changed
---@param on_exit fun(code: integer?, signal: string?)
---@return userdata? handle
---@return string|mw.Error|nil code the system's refusal by name, or an error
---@return string? stage
function M.spawn(preload, engine, on_exit)
  local key = key_of(preload)
  local code, stage
  -- That one has ended is seen no sooner than now.
  for _ = 1, 2 do
    local server, handle
    server, code, stage = server_for(key, preload)
    if not server then
      break
    end
    handle, code, stage = server:spawn(engine, M.portable, on_exit)
    if handle or stage ~= "server" then
      return handle, code, stage
    end
    servers[key] = nil
    server:kill()
    if code ~= "EPIPE" then
      break
    end
  end
  return nil, code, stage
end

-- Puts new servers in the place of old ones; none at all where one is no good.
local function exchange(fresh, failure)
  for key, server in pairs(fresh) do
    if failure then
      server:close()
    else
      if servers[key] then
        servers[key]:close()
      end
      servers[key] = server
    end
  end
end

local function replace_when_ready(done)
  local fresh, left, failure = {}, 1, nil
  local function one_is_done(err)
    failure, left = failure or err, left - 1
    if left == 0 then
      exchange(fresh, failure)
      done(failure)
    end
  end
  for key, old in pairs(servers) do
    local server, code = start(key, old.preload)
    left = left + 1
    if server then
      fresh[key] = server
      server:when_ready(M.patience, one_is_done)
    else
      tick.add(one_is_done, errors.system(code, "spawn " .. process.exec_path))
    end
  end
  tick.add(one_is_done)
end

--- Lets all servers end, so that workers come from others that have read their
--- code anew; workers that are there stay. With `done`, the new ones are started
--- at once, and the old ones serve until all of them are ready, or, where one is
--- no good, go on.
---@param done? fun(err: mw.Error?)
function M.replace(done)
  if done then
    return replace_when_ready(done)
  end
  for key, server in pairs(servers) do
    server:close()
    servers[key] = nil
  end
end

return M
