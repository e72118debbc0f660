-- Exchanges, a request and its response each: what the engine tells of them, the
-- handler as a task, and how that ends.

local Request = require "mw.http.request"
local Response = require "mw.http.response"
local counters = require "mw.counters"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local net = require "mw.net"
local task = require "mw.task"

local M = {}

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
  counters.requests = counters.requests + 1
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

--- The callbacks for the engine of a server.
---@param self mw.HttpServer
---@return table<string, function>
function M.callbacks(self)
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

return M
