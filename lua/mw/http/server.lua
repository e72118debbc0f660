-- Servers: what a handler is called for, and how it ends. The listening is that
-- of net; connections, parsing and sending are the engine's.
-- (https://nodejs.org/api/http.html#class-httpserver)

local Request = require "mw.http.request"
local Response = require "mw.http.response"
local core = require "mw.core.http"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local net = require "mw.net"
local options = require "mw.options"
local socket = require "mw.core.socket"
local task = require "mw.task"

---@class mw.HttpServer: mw.Server
local Server = emitter.class("mw.http.server", net.Server)

local schema = {
  max_header_size = options.integer(1),
  max_headers = options.integer(1),
  max_body = options.size,
  max_connections = options.size,
  headers_timeout = options.size,
  request_timeout = options.size,
  send_timeout = options.size,
  keep_alive_timeout = options.size,
  drain_timeout = options.size,
  high_water_mark = options.integer(1),
}

local defaults = {
  max_header_size = 16384,
  max_headers = 100,
  max_body = math.huge,
  max_connections = 0,
  headers_timeout = 60000,
  request_timeout = 300000,
  send_timeout = 60000,
  keep_alive_timeout = 5000,
  drain_timeout = 5000,
}

-- What the engine takes for "no limit" is as large as it gets, or 0.
local function limits_of(opts)
  local limits = {}
  for name, default in pairs(defaults) do
    local value = opts[name] or default
    local whole = value < 2 ^ 53 and math.ceil(value)
    limits[name] = whole or (name == "max_body" and math.maxinteger) or 0
  end
  return limits
end

-- Handlers ------------------------------------------------------------------

local function report(err, traceback)
  io.stdout:flush()
  io.stderr:write("mwrun: ", tostring(err), "\n", traceback and traceback .. "\n" or "")
end

local function has_listeners(object)
  local events = rawget(object, "_events")
  return events and next(events) ~= nil
end

-- Whether somebody else can still answer: listeners that the handler has left
-- behind, of which a pipe is one.
local function is_awaited(req, res)
  return has_listeners(req) or has_listeners(res)
end

local function handler_over(ok, err, traceback, req, res)
  if not ok then
    report(err, traceback)
    res:_fail(500)
  elseif res._finishing or res.destroyed then
    return
  elseif res.headers_sent then
    res:flush_headers()
  elseif not is_awaited(req, res) then
    report(("the handler of %s %s has ended without an answer"):format(req.method, req.url))
    res:_fail(500)
  end
end

-- More than one listener, or those of once.
local function emit_request(self, req, res)
  for _, fn in ipairs(self:_take_listeners "request") do
    fn(req, res)
  end
end

local function serve(self, exchange)
  local req = Request.new(self, exchange)
  local res = Response.new(req, exchange)
  local handler = self._handler
  if handler then
    task.run(handler, handler_over, req, res)
  elseif self:listener_count "request" > 0 then
    task.run(function()
      emit_request(self, req, res)
    end, handler_over, req, res)
  else
    res:_fail(404)
  end
  if not res._finish_emitted then
    exchange:set_owner(res)
  end
end

-- The engine's events -------------------------------------------------------

local function on_data(exchange, piece)
  local res = exchange:owner()
  if res then
    res.req:_arrived(piece)
  end
end

local function on_drain(exchange)
  local res = exchange:owner()
  if res then
    res:_drained()
  end
end

local function aborted(code)
  if code == "EFBIG" then
    return errors.new("ERR_HTTP_BODY_TOO_LARGE", "ERR_HTTP_BODY_TOO_LARGE: the body is longer than max_body")
  end
  return errors.system(code, "aborted")
end

-- Both sides of an exchange that did not come to its end: who waits for one of
-- them learns why.
local function on_over(exchange, code)
  local res = exchange:owner()
  if not res then
    return
  end
  local err = code and aborted(code) or nil
  if err and not res.req._ended then
    res.req:destroy(err)
  end
  if err or not res._finishing then
    res:destroy(err)
  end
end

local function on_upgrade(self, exchange)
  if self:listener_count "upgrade" == 0 then
    return
  end
  local req = Request.new(self, exchange)
  local given, unread, unsent = exchange:give_away()
  local handle = net._open_handle(given)
  if not handle then
    return fd.close(given)
  end
  local upgraded = net.Socket.adopt(handle, { server = self, allow_half_open = false })
  if unsent ~= "" then
    upgraded:write(unsent)
  end
  req.socket = upgraded
  self:emit("upgrade", req, upgraded, unread)
end

local function callbacks_of(self)
  return {
    on_request = function(exchange)
      serve(self, exchange)
    end,
    on_upgrade = function(exchange)
      on_upgrade(self, exchange)
    end,
    on_data = on_data,
    on_drain = on_drain,
    on_over = on_over,
    on_refused = function(code)
      self:emit("drop", { error = errors.system(code, "accept") })
    end,
    on_empty = function()
      self:_close_if_over()
    end,
  }
end

-- The server ----------------------------------------------------------------

-- A router, for one.
local function is_callable(value)
  local meta = type(value) == "table" and getmetatable(value)
  return meta and meta.__call ~= nil
end

--- Makes a server. `handler(req, res)` runs as a task for each request. Options,
--- in bytes and milliseconds, 0 for no limit: max_header_size (16384)
--- max_headers (100) max_body (no limit) max_connections (no limit)
--- headers_timeout (60000) request_timeout (300000) send_timeout (60000: how long
--- a client may take nothing of its answer) keep_alive_timeout (5000)
--- drain_timeout (5000) high_water_mark (65536). (Node: http.createServer)
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
  options.check("create_server", opts or {}, schema)
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
  local opened, code = core.open(limits_of(self._options), callbacks_of(self))
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

--- Emits an event; listeners of `upgrade` run as tasks.
---@param event any
---@param ... any
---@return boolean called
function Server:emit(event, ...)
  if event ~= "upgrade" then
    return emitter.Emitter.emit(self, event, ...)
  end
  local listeners = self:_take_listeners(event)
  for _, fn in ipairs(listeners) do
    task.go(fn, ...)
  end
  return #listeners > 0
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
