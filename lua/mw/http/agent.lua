-- Agents: keep connections for the next request to the same place.
-- (https://nodejs.org/api/http.html#class-httpagent)

local Connection = require "mw.http.client_connection"
local options = require "mw.options"
local timers = require "mw.timers"

---@class mw.HttpAgent
local Agent = { __name = "mw.http.agent" }
Agent.__index = Agent

local schema = {
  keep_alive = options.boolean,
  keep_alive_timeout = options.size,
  max_sockets = options.integer(1),
  max_free_sockets = options.integer(0),
}

--- Makes an agent. Options: keep_alive (true) keep_alive_timeout (4000
--- milliseconds that a connection is kept without a request) max_sockets (for
--- one place, no limit where absent) max_free_sockets (256, of all places).
---@param opts? table
---@return mw.HttpAgent
function Agent.new(opts)
  options.optional("Agent.new", "options", opts, options.table)
  opts = opts or {}
  options.check("Agent.new", opts, schema)
  return setmetatable({
    _keeps = opts.keep_alive ~= false,
    _timeout = opts.keep_alive_timeout or 4000,
    _max_sockets = opts.max_sockets or math.huge,
    _max_free = opts.max_free_sockets or 256,
    _free = {}, -- lists of connections by place
    _free_count = 0,
    _open = {}, -- counts by place
    _waiting = {}, -- lists of requests by place
  }, Agent)
end

local function place_of(what)
  return what.socket_path or ("%s:%d:%s:%s"):format(what.host, what.port, what.local_address or "", what.family or "")
end

local function forget(self, connection)
  local list = self._free[connection.place]
  for index, other in ipairs(list or {}) do
    if other == connection then
      table.remove(list, index)
      self._free_count = self._free_count - 1
      timers.clear_timeout(connection.timer)
      break
    end
  end
  if list and #list == 0 then
    self._free[connection.place] = nil
  end
end

local function open_new(self, what, place)
  local connection = Connection.new(what, self)
  connection.place = place
  self._open[place] = (self._open[place] or 0) + 1
  return connection
end

--- Finds or makes a connection for a request, and calls `start(connection)`, at
--- once or when another request has ended.
---@param what table options of the request
---@param is_fresh boolean whether it has to be a new one
---@param start fun(connection: mw.ClientConnection)
function Agent:_connect(what, is_fresh, start)
  local place = place_of(what)
  local list = self._free[place]
  local connection = not is_fresh and list and list[#list]
  if connection then
    forget(self, connection)
    connection.socket:ref()
    start(connection)
  elseif (self._open[place] or 0) < self._max_sockets then
    start(open_new(self, what, place))
  else
    self._waiting[place] = self._waiting[place] or {}
    table.insert(self._waiting[place], { what = what, start = start })
  end
end

local function next_waiting(self, place)
  local list = self._waiting[place]
  if not list then
    return nil
  end
  local first = table.remove(list, 1)
  if #list == 0 then
    self._waiting[place] = nil
  end
  return first
end

--- A connection has done its work.
---@param connection mw.ClientConnection
function Agent:_take_back(connection)
  local place = connection.place
  local waiting = next_waiting(self, place)
  if waiting then
    return waiting.start(connection)
  elseif not self._keeps or self._free_count >= self._max_free then
    connection.socket:destroy()
    return
  end
  self._free[place] = self._free[place] or {}
  table.insert(self._free[place], connection)
  self._free_count = self._free_count + 1
  connection.socket:unref()
  connection.timer = timers.set_timeout(function()
    connection.socket:destroy()
  end, self._timeout)
  connection.timer:unref()
end

--- A connection is gone.
---@param connection mw.ClientConnection
function Agent:_lost(connection)
  local place = connection.place
  forget(self, connection)
  local count = self._open[place] - 1
  self._open[place] = count > 0 and count or nil
  local waiting = next_waiting(self, place)
  if waiting then
    waiting.start(open_new(self, waiting.what, place))
  end
end

--- Ends the connections that wait for a request.
function Agent:destroy()
  for _, list in pairs(self._free) do
    for _, connection in ipairs(list) do
      connection.socket:destroy()
    end
  end
end

Agent.global = Agent.new()

return Agent
