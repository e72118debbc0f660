-- Watches files. The kernel says that something has happened; what it was tells
-- a look at the whole: so nothing is missed while folders come and go, and what
-- was there for a moment only does not count.

local Debounce = require "mw.supervisor.debounce"
local tree = require "mw.supervisor.tree"
local uv = require "luv"

---@class mw.Watcher
---@field private _tree mw.Tree
---@field private _watches table<string, { handle: userdata, id: string }>
local Watcher = {}
Watcher.__index = Watcher

local calm = { quiet = 100, patience = 1000 }

-- How often to look for a folder that is gone, in milliseconds.
local search_period = 500

---@class mw.WatcherHost
---@field clock mw.SupervisorClock
---@field log fun(text: string)
---@field on_change fun(paths: string[])

local function close_watch(self, path)
  local watch = self._watches[path]
  if watch then
    self._watches[path] = nil
    watch.handle:close()
  end
end

local function complain(self, text)
  if not self._complaints[text] then
    self._complaints[text] = true
    self._host.log(text)
  end
end

local function is_folder(path)
  local stat = uv.fs_stat(path)
  return stat ~= nil and stat.type == "directory"
end

-- A folder that has come or gone may not be the one that is watched, although
-- its path and its number are the same. The kernel tells a folder's own end by
-- its name, as if it were in itself.
local function on_event(self, folder, name, kinds)
  if not name or not kinds then
    return self._debounce:poke()
  elseif tree.is_hidden(name) then
    return
  end
  local path = tree.join(folder, name)
  local is_known = self._watches[path] ~= nil
  local is_own = kinds.rename and name == folder:match "[^/]*$"
  if kinds.rename then
    close_watch(self, path)
  end
  if is_own then
    close_watch(self, folder)
  end
  if self._scope.wants(path) or is_own or kinds.rename and (is_known or is_folder(path)) then
    self._debounce:poke()
  end
end

local function open_watch(self, path, id)
  local handle = uv.new_fs_event()
  local ok, text = handle:start(path, {}, function(err, name, kinds)
    on_event(self, path, not err and name or nil, kinds)
  end)
  if not ok then
    handle:close()
    complain(self, ("can't watch %s, changes there are not seen: %s"):format(path, text))
    return false
  end
  self._watches[path] = { handle = handle, id = id }
  return true
end

-- Whether there were folders that had not been watched.
local function follow(self, folders)
  local is_new = false
  for path, watch in pairs(self._watches) do
    if folders[path] ~= watch.id then
      close_watch(self, path)
    end
  end
  for path, id in pairs(folders) do
    is_new = not self._watches[path] and open_watch(self, path, id) or is_new
  end
  return is_new
end

-- Between a look and the watch that follows, something may happen.
local function look(self)
  local now
  repeat
    now = tree.scan(self._scope)
  until not follow(self, now.folders)
  if now.is_cut then
    complain(self, "too many folders to watch all: name those that count by the option 'watch'")
  end
  return now
end

local function search_missing(self)
  for path in pairs(self._scope.folders) do
    if not self._tree.folders[path] then
      self._search = self._host.clock:after(search_period, function()
        self:_look_again()
      end)
      return
    end
  end
end

function Watcher:_look_again()
  if self._search then
    self._search:close()
    self._search = nil
  end
  local before = self._tree
  self._tree = look(self)
  search_missing(self)
  local paths = tree.changes(before, self._tree)
  if #paths > 0 then
    self._host.on_change(paths)
  end
end

--- Watches from now on.
---@param scope mw.TreeScope
---@param host mw.WatcherHost
---@return mw.Watcher
function Watcher.new(scope, host)
  local self = setmetatable({ _scope = scope, _host = host, _watches = {}, _complaints = {} }, Watcher)
  self._debounce = Debounce.new(host.clock, calm, function()
    self:_look_again()
  end)
  self._tree = look(self)
  search_missing(self)
  return self
end

--- Stops.
function Watcher:close()
  self._debounce:close()
  if self._search then
    self._search:close()
  end
  for path in pairs(self._watches) do
    close_watch(self, path)
  end
end

return Watcher
