-- A notifier whose source is a file: its text, or what its JSON stands for.

local Watcher = require "mw.supervisor.watcher"
local json = require "mw.json"
local watch_scope = require "mw.supervisor.watch_scope"

local M = {}

local function read(path)
  local file, problem = io.open(path, "rb")
  if not file then
    return nil, problem
  end
  local text
  text, problem = file:read "a"
  file:close()
  return text, problem
end

local function value_of(path, text)
  if not path:find "%.json$" then
    return text
  end
  return json.decode(text)
end

--- Tells what is in the file now, and again when that has changed; of what can't
--- be read, the log.
---@param opts { file: string }
---@param host mw.NotifierHost
---@return { close: fun(self) }
function M.start(opts, host)
  local path, last = opts.file, nil
  local function look()
    local text, problem = read(path)
    if not text then
      return host.log("the notifier's file can't be read: " .. problem)
    elseif text == last then
      return
    end
    last = text
    local value, err = value_of(path, text)
    if value == nil then
      return host.log(("the notifier's file is no JSON: %s: %s"):format(path, err))
    end
    host.notify(value)
  end
  local watcher = Watcher.new(watch_scope.of_list { path }, {
    clock = host.clock,
    log = host.log,
    on_change = look,
  })
  look()
  return watcher
end

return M
