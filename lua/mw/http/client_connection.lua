-- One connection of a client: carries one request after the other, and belongs to
-- its agent in between.

local Response = require "mw.http.client_response"
local core = require "mw.core.http"
local errors = require "mw.error"
local net = require "mw.net"

---@class mw.ClientConnection
---@field socket mw.Socket
local Connection = { __name = "mw.http.client_connection" }
Connection.__index = Connection

Connection.uses = 0 -- requests that were answered

local function invalid()
  return errors.new("ERR_HTTP_INVALID_RESPONSE", "ERR_HTTP_INVALID_RESPONSE: what came is no HTTP response")
end

local function hung_up()
  return errors.new("ECONNRESET", "ECONNRESET: socket hang up")
end

local function aborted()
  return errors.new("ECONNRESET", "ECONNRESET: the response ended early")
end

-- What was carried is over: the connection may be used again, or ends.
local function end_exchange(self, rest)
  local request, response = self.request, self.response
  local can_stay = self.stays and rest == "" and request._finish_emitted and not self.socket.destroyed
  self.request, self.response, self.stays = nil, nil, false
  self.uses = self.uses + 1
  response.complete, response._connection = true, nil
  request:_over()
  if can_stay and self.agent then
    self.socket:resume()
    self.agent:_take_back(self)
  else
    self.socket:destroy()
  end
  response:push(nil)
end

local function fail(self, err)
  local request, response = self.request, self.response
  self.request, self.response = nil, nil
  self.socket:destroy()
  if response then
    response._connection = nil
    request:_over()
    response:destroy(err)
  elseif request then
    request:_failed(err, self)
  end
end

local function take_body(self, bytes)
  local piece, is_over, rest = self.reader:body(bytes)
  if not piece then
    return fail(self, invalid())
  end
  local response = self.response
  if piece ~= "" and not response:push(piece) and not is_over and self.response == response then
    self.socket:pause()
  end
  if is_over and self.response == response then
    end_exchange(self, rest)
  end
end

-- 101: what follows is another protocol's.
local function hand_over(self, response, rest)
  local request, socket = self.request, self.socket
  self.request, self.response = nil, nil
  for event, fn in pairs(self._listeners) do
    socket:off(event, fn)
  end
  socket:pause()
  request:_over()
  if not request:emit("upgrade", response, socket, rest) then
    socket:destroy()
  end
end

local function take_head(self, bytes)
  local request = self.request
  local head, rest = self.reader:head(bytes, request.method == "HEAD")
  if head == nil then
    return
  elseif head == false then
    return fail(self, invalid())
  elseif head.status_code == 101 then
    return hand_over(self, Response.new(head, nil, request), rest)
  elseif head.status_code < 200 then
    request:emit(head.status_code == 100 and "continue" or "information", head)
    return rest ~= "" and self.request and take_head(self, rest)
  end
  self.stays, self.until_end = head.keep_alive, head.until_end
  self.response = Response.new(head, self, request)
  request:_answered(self.response)
  if self.response then
    take_body(self, rest)
  end
end

local function on_data(self, bytes)
  if self.response then
    take_body(self, bytes)
  elseif self.request then
    self.request._bytes_came = true
    take_head(self, bytes)
  else
    self.socket:destroy() -- nobody has asked for anything
  end
end

local function on_end(self)
  if self.response and self.until_end then
    self.stays = false
    end_exchange(self, "")
  else
    fail(self, self.response and aborted() or hung_up())
  end
end

local function on_close(self)
  if self.agent then
    self.agent:_lost(self)
  end
  fail(self, self.failure or (self.response and aborted()) or hung_up())
end

local function listen(self)
  self._listeners = {
    data = function(bytes)
      on_data(self, bytes)
    end,
    ["end"] = function()
      on_end(self)
    end,
    error = function(err)
      self.failure = err
    end,
    close = function()
      on_close(self)
    end,
  }
  for event, fn in pairs(self._listeners) do
    self.socket:on(event, fn)
  end
end

--- Connects.
---@param what table options of the request
---@param agent? mw.HttpAgent that it belongs to
---@return mw.ClientConnection
function Connection.new(what, agent)
  local place = { host = what.host, port = what.port, local_address = what.local_address, family = what.family,
    lookup = what.lookup, no_delay = true }
  if what.socket_path then
    place = { path = what.socket_path }
  end
  local self = setmetatable({ agent = agent }, Connection)
  self.socket = net.connect(place)
  listen(self)
  return self
end

--- Carries a request from now on.
---@param request mw.ClientRequest
---@param max_header_size integer
function Connection:start(request, max_header_size)
  self.request = request
  self.reader = core.reader(max_header_size)
end

--- Ends it, without a word to the one whose request it carries.
function Connection:_cut()
  self.request, self.response = nil, nil
  self.socket:destroy()
end

function Connection:_go_on_reading()
  if self.socket:is_paused() then
    self.socket:resume()
  end
end

return Connection
