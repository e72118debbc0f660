-- A folder for one test, with the files that it needs.

local Scratch = require "spec.support.scratch"
local uv = require "luv"

local mode = tonumber("755", 8)

---@param files? table<string, string> by relative name; a folder where it ends in a slash
---@return spec.Scratch
return function(files)
  local folder = Scratch.new()
  folder.path = assert(uv.fs_realpath(folder.path))
  for name, text in pairs(files or {}) do
    for parent in name:gmatch "()/" do
      uv.fs_mkdir(folder.path .. "/" .. name:sub(1, parent - 1), mode)
    end
    if name:sub(-1) ~= "/" then
      folder:write(name, text)
    end
  end
  return folder
end
