-- Reloads when the workers' files change.

local Watcher = require "mw.supervisor.watcher"
local uv = require "luv"

local M = {}

local function absolute(path)
  path = path:sub(1, 1) == "/" and path or uv.cwd() .. "/" .. path
  path = path:gsub("/%./", "/"):gsub("/%.?$", "")
  return path == "" and "/" or path
end

local function split(path)
  local folder, name = path:match "^(.*)/([^/]*)$"
  return folder == "" and "/" or folder, name
end

-- The script, and the Lua files in its folder and below.
local function scope_of_script(script)
  local folder = split(script)
  return {
    folders = { [folder] = "all" },
    wants = function(path)
      return path == script or path:find "%.lua$" ~= nil
    end,
  }
end

local function lies_in(path, folders)
  for folder in pairs(folders) do
    if path:sub(1, #folder + 1) == folder .. "/" then
      return true
    end
  end
  return false
end

-- The files that are named, and all files in the folders that are, and below.
local function scope_of_list(paths)
  local named, deep, folders = {}, {}, {}
  for _, given in ipairs(paths) do
    local path = absolute(given)
    local stat = uv.fs_stat(path)
    if stat and stat.type == "directory" then
      deep[path], folders[path] = true, "all"
    else
      named[path] = true
      local folder = split(path)
      folders[folder] = folders[folder] or "shallow"
    end
  end
  return {
    folders = folders,
    wants = function(path)
      return named[path] or lies_in(path, deep)
    end,
  }
end

--- What to watch.
---@param script string
---@param watch true|string[]
---@return mw.TreeScope
function M.scope(script, watch)
  return watch == true and scope_of_script(absolute(script)) or scope_of_list(watch)
end

--- A function that asks for a reload: while one is under way, for one more after
--- it, however often it is called.
---@param reload fun(done: fun())
---@return fun()
function M.one_at_a_time(reload)
  local is_running, is_wanted = false, false
  local function start()
    if is_running then
      is_wanted = true
      return
    end
    is_running, is_wanted = true, false
    reload(function()
      is_running = false
      if is_wanted then
        start()
      end
    end)
  end
  return start
end

local function describe(paths)
  local others = #paths > 1 and (" and %d more"):format(#paths - 1) or ""
  return ("changed: %s%s"):format(paths[1], others)
end

--- Begins; close() of what it returns ends it.
---@param settings { script: string, watch: true|string[] }
---@param host { clock: mw.SupervisorClock, log: fun(text: string), reload: fun(done: fun()) }
---@return mw.Watcher
function M.start(settings, host)
  local reload = M.one_at_a_time(host.reload)
  return Watcher.new(M.scope(settings.script, settings.watch), {
    clock = host.clock,
    log = host.log,
    on_change = function(paths)
      host.log(describe(paths))
      reload()
    end,
  })
end

return M
