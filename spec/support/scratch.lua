-- A folder of a test's own.

local uv = require "luv"

---@class spec.Scratch
---@field path string
local Scratch = {}
Scratch.__index = Scratch

---@return spec.Scratch
function Scratch.new()
  local parent = os.getenv "TMPDIR" or "/tmp"
  return setmetatable({ path = assert(uv.fs_mkdtemp(parent .. "/mwrun-spec-XXXXXX")) }, Scratch)
end

--- Writes a file; returns its path.
---@param name string
---@param text string
---@param mode? integer
---@return string path
function Scratch:write(name, text, mode)
  local path = self.path .. "/" .. name
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
  if mode then
    assert(uv.fs_chmod(path, mode))
  end
  return path
end

--- What is in a file; nil where there is none.
---@param name string
---@return string?
function Scratch:read(name)
  local file = io.open(self.path .. "/" .. name, "rb")
  if not file then
    return nil
  end
  local text = file:read "a"
  file:close()
  return text
end

local function remove(path)
  local stat = uv.fs_lstat(path)
  if not stat or stat.type ~= "directory" then
    os.remove(path)
    return
  end
  for _, entry in ipairs(Scratch.names(path)) do
    remove(path .. "/" .. entry)
  end
  uv.fs_rmdir(path)
end

--- The names in a folder.
---@param path string
---@return string[]
function Scratch.names(path)
  local names = {}
  for name in uv.fs_scandir_next, assert(uv.fs_scandir(path)) do
    names[#names + 1] = name
  end
  return names
end

--- Removes the folder with all that is in it.
function Scratch:remove()
  remove(self.path)
end

return Scratch
