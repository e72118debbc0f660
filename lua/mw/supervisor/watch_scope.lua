-- Which files are watched.

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

--- The files that are named, and all files in the folders that are, and below.
---@param paths string[]
---@return mw.TreeScope
function M.of_list(paths)
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

--- What the option `watch` means for a script.
---@param script string
---@param watch true|string[]
---@return mw.TreeScope
function M.of(script, watch)
  return watch == true and scope_of_script(absolute(script)) or M.of_list(watch)
end

return M
