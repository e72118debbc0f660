-- Servers. The listening is that of net; connections, parsing and sending are the
-- engine's.
-- (https://nodejs.org/api/http.html#class-httpserver)

local core = require "mw.core.http"
local emitter = require "mw.emitter"
local exchanges = require "mw.http.exchanges"
local fd = require "mw.core.fd"
local limits = require "mw.http.limits"
local net = require "mw.net"
local options = require "mw.options"
local socket = require "mw.core.socket"

---@class mw.HttpServer: mw.Server
local Server = emitter.class("mw.http.server", net.Server)

Server._task_events = { upgrade = true }

-- A router, for one.
local function is_callable(value)
  local meta = type(value) == "table" and getmetatable(value)
  return meta and meta.__call ~= nil
end

--- Makes a server. `handler(req, res)` runs as a task for each request. Options,
--- in bytes and milliseconds; a time of 0 is no limit: max_header_size (16384)
--- max_headers (100) max_body (no limit) max_connections (no limit)
--- headers_timeout (60000) request_timeout (300000) send_timeout (60000: how long
--- a client may take nothing of its answer) keep_alive_timeout (5000; also what is
--- left of an answer that a client waits for who has ended its side: most have
--- left) drain_timeout (5000) high_water_mark (65536). Of what Node has there are no
--- events `connection`, `checkContinue` and `clientError`, and no `setTimeout`: the
--- engine has the connections, and answers by itself what is no request, or comes
--- too late. (Node: http.createServer)
---@param opts? table
---@param handler? fun(req: mw.HttpRequest, res: mw.HttpResponse)
---@return mw.HttpServer
function Server.new(opts, handler)
  if handler == nil and (type(opts) == "function" or is_callable(opts)) then
    opts, handler = nil, opts
  end
  options.optional("create_server", "options", opts, options.table)
  if is_callable(handler) then
    local object = handler
    handler = function(req, res)
      return object(req, res)
    end
  end
  options.optional("create_server", "handler", handler, options.callback)
  options.check("create_server", opts or {}, limits.schema)
  local self = setmetatable({}, Server)
  local copy = {}
  for name, value in pairs(opts or {}) do
    copy[name] = value
  end
  self:_init(copy)
  if handler then
    self:on("request", handler)
  end
  return self
end

-- The engine is there from the first listen() on, until it has nothing to do;
-- nil and a code where the system has no room for it.
local function engine(self)
  if self._engine then
    return self._engine
  end
  local opened, code = core.open(limits.of(self._options), exchanges.callbacks(self))
  if opened then
    opened:set_referenced(not self._unreferenced)
    self._engine = opened
  end
  return opened, code
end

function Server:_listening_changed(event)
  if event == "request" then
    self._handler = self:_only_listener "request"
  end
end

function Server:_count()
  return self._connections + (self._engine and self._engine:count() or 0)
end

-- Returns true, or nil and a code.
local function accept_from(opened, number, backlog)
  local listens, code = socket.listen(number, backlog)
  if not listens then
    return nil, code
  end
  local copy, refusal = fd.dup(number)
  if not copy then
    return nil, refusal
  end
  fd.set_nonblocking(copy, true)
  local ok
  ok, refusal = opened:listen(copy)
  if not ok then
    fd.close(copy)
  end
  return ok, refusal
end

-- A handle of luv shares its descriptor; another process's brings connections.
function Server:_start_accepting(handle, backlog)
  self._is_closed = nil
  local opened, refusal = engine(self)
  local ok = opened
  if ok and handle.serve then
    return handle:serve(opened)
  elseif ok then
    ok, refusal = accept_from(opened, handle:fileno(), backlog)
  end
  return ok, refusal, refusal
end

function Server:_stop_accepting()
  self._engine:drain()
end

--- Takes a connection that is open.
---@param handle userdata of luv, the server's from then on
---@param unread? string what was read off it already
---@return boolean
function Server:_take(handle, unread)
  local number = fd.dup(handle:fileno())
  handle:close()
  return number ~= nil and self:_take_descriptor(number, unread)
end

--- Takes a connection that is a plain descriptor, which is the server's from
--- then on; false where that is closed, and so is the descriptor.
---@param number integer
---@param unread? string what was read off it already
---@return boolean
function Server:_take_descriptor(number, unread)
  fd.set_nonblocking(number, true)
  local opened = not self._is_closed and engine(self)
  local ok = opened and opened:take(number, unread)
  if not ok then
    fd.close(number)
  end
  return ok or false
end

local function close_engine(self)
  if self._handle or self._attempt then
    return -- it listens again
  end
  self._is_closed = true
  if self._engine then
    self._engine:close()
    self._engine = nil
  end
end

--- Takes no more connections. What is under way is answered, and every answer
--- that begins from now on ends its connection; one that waits for a request is
--- kept for that until `drain_timeout` is over. `close` follows when all have
--- ended. (Node: server.close)
---@param callback? fun(err: any)
---@return mw.HttpServer self
function Server:close(callback)
  net.Server.close(self, callback)
  self:once("close", function()
    close_engine(self)
  end)
  return self
end

--- Ends the connections that wait for a request.
function Server:close_idle_connections()
  if self._engine then
    self._engine:end_idle()
  end
end

--- Ends all connections at once, those with a request too.
function Server:close_all_connections()
  if self._engine then
    self._engine:end_all()
  end
end

function Server:ref()
  net.Server.ref(self)
  if self._engine then
    self._engine:set_referenced(true)
  end
  return self
end

function Server:unref()
  net.Server.unref(self)
  if self._engine then
    self._engine:set_referenced(false)
  end
  return self
end

Server.__close = function(self)
  self:close()
end

return Server
