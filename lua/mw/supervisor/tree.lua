-- What lies in folders, as it is now: hidden names are left out, links are
-- followed.

local uv = require "luv"

local M = {}

-- More is somebody's home, not a program; the kernel's watches are counted.
local most_folders = 1000

---@class mw.Tree
---@field folders table<string, string> which folder it is, by path
---@field files table<string, string> a stamp that changes with the file, by path
---@field is_cut boolean whether there are more folders than are looked at

---@class mw.TreeScope what to look at
---@field folders table<string, "all"|"shallow"> whether those in it, too, by absolute path
---@field wants fun(path: string): boolean whether a file counts

local function identity(stat)
  return ("%d:%d"):format(stat.dev, stat.ino)
end

local function stamp(stat)
  return ("%d %d %d.%d"):format(stat.ino, stat.size, stat.mtime.sec, stat.mtime.nsec)
end

--- Whether a name is left out.
---@param name string
---@return boolean
function M.is_hidden(name)
  return name:byte() == 46 -- a dot
end

--- The path of what is in a folder.
---@param folder string
---@param name string
---@return string
function M.join(folder, name)
  return folder == "/" and folder .. name or folder .. "/" .. name
end

local add_folder

local function add_entry(scan, path, kind, is_deep)
  local is_file = kind == "file"
  if is_file and not scan.wants(path) then
    return
  end
  local stat = uv.fs_stat(path)
  if not stat then
    return
  elseif stat.type == "directory" then
    return is_deep and add_folder(scan, path, stat, true)
  elseif scan.wants(path) then
    scan.tree.files[path] = stamp(stat)
  end
end

function add_folder(scan, path, stat, is_deep)
  local id = identity(stat)
  if is_deep and scan.seen[id] then
    return -- a link has led here
  elseif scan.count >= most_folders then
    scan.tree.is_cut = true
    return
  end
  scan.seen[id] = scan.seen[id] or is_deep
  scan.count = scan.count + 1
  scan.tree.folders[path] = id
  local entries = uv.fs_scandir(path)
  if not entries then
    return
  end
  for name, kind in uv.fs_scandir_next, entries do
    if not M.is_hidden(name) then
      add_entry(scan, M.join(path, name), kind, is_deep)
    end
  end
end

--- Looks.
---@param scope mw.TreeScope
---@return mw.Tree
function M.scan(scope)
  local scan = { tree = { folders = {}, files = {}, is_cut = false }, wants = scope.wants, seen = {}, count = 0 }
  for path, depth in pairs(scope.folders) do
    local stat = uv.fs_stat(path)
    if stat and stat.type == "directory" then
      add_folder(scan, path, stat, depth == "all")
    end
  end
  return scan.tree
end

--- The paths of the files that are not what they were, in order.
---@param before mw.Tree
---@param now mw.Tree
---@return string[]
function M.changes(before, now)
  local paths = {}
  for path, was in pairs(before.files) do
    if now.files[path] ~= was then
      paths[#paths + 1] = path
    end
  end
  for path in pairs(now.files) do
    if not before.files[path] then
      paths[#paths + 1] = path
    end
  end
  table.sort(paths)
  return paths
end

return M
