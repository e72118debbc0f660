-- The files of the house, for the specs that look at them.

local Scratch = require "spec.support.scratch"
local uv = require "luv"

local M = {}

local function add_files(files, folder, ending)
  for _, name in ipairs(Scratch.names(folder)) do
    local path = folder .. "/" .. name
    if uv.fs_stat(path).type == "directory" then
      add_files(files, path, ending)
    elseif name:find(ending) then
      files[#files + 1] = path
    end
  end
end

--- The paths of all files below a folder, in order.
---@param folder string
---@param ending? string a pattern that the names match
---@return string[]
function M.list(folder, ending)
  local files = {}
  add_files(files, folder, ending or "")
  table.sort(files)
  return files
end

--- Whether there is such a file.
---@param path string
---@return boolean
function M.exists(path)
  return uv.fs_stat(path) ~= nil
end

--- What is in a file.
---@param path string
---@return string
function M.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read "a"
  file:close()
  return text
end

--- The name that a file of lua/ is required by.
---@param path string "lua/mw/stream/init.lua"
---@return string "mw.stream"
function M.module_name(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

return M
