-- Requests of a client: writable streams that lead to a response.
-- (https://nodejs.org/api/http.html#class-httpclientrequest)

local Agent = require "mw.http.agent"
local Connection = require "mw.http.client_connection"
local Headers = require "mw.http.headers"
local Writable = require("mw.stream").Writable
local emitter = require "mw.emitter"
local errors = require "mw.error"
local tick = require "mw.tick"
local timers = require "mw.timers"

---@class mw.ClientRequest: mw.Writable
---@field method string
---@field path string
---@field host string
---@field reused_socket boolean whether its connection has served another before
local Request = emitter.class("mw.http.client_request", Writable)

Request.reused_socket = false

local idempotent = { GET = true, HEAD = true, PUT = true, DELETE = true, OPTIONS = true, TRACE = true }
local has_body = { POST = true, PUT = true, PATCH = true }

local function default_headers(self, what)
  local host = what.host:find(":", 1, true) and "[" .. what.host .. "]" or what.host
  if not self._headers:get "host" then
    self._headers:set("request", "Host", what.port == 80 and host or ("%s:%d"):format(host, what.port))
  end
  if what.auth and not self._headers:get "authorization" then
    self._headers:set("request", "Authorization", "Basic " .. Request._base64(what.auth))
  end
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

-- RFC 4648, 4
function Request._base64(text)
  local pieces = {}
  for first in text:gmatch "..?.?" do
    local a, b, c = first:byte(1, 3)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for index = 0, 3 do
      local digit = bits >> (18 - 6 * index) & 63
      pieces[#pieces + 1] = index > #first and "=" or alphabet:sub(digit + 1, digit + 1)
    end
  end
  return table.concat(pieces)
end

local function stop_watching(self)
  timers.clear_timeout(self._timer)
  self._timer = nil
  if self._token then
    self._token:off("abort", self._on_abort)
    self._token = nil
  end
end

local function watch_token(self, token)
  self._token = token
  self._on_abort = function()
    self:destroy(errors.aborted(token))
  end
  if token.aborted then
    tick.add(self._on_abort)
  else
    token:on("abort", self._on_abort)
  end
end

local function watch_time(self, ms)
  if ms and ms > 0 then
    self._timer = timers.set_timeout(function()
      self._timer = nil
      if not self:emit "timeout" then
        self:destroy(errors.system("ETIMEDOUT", ("%s http://%s%s"):format(self.method, self.host, self.path)))
      end
    end, ms)
  end
end

-- What was to be sent before there was a connection.
local function send_late(self)
  local late = self._late
  self._late = nil
  if late then
    late()
  end
end

local function connected(self, connection)
  if self.destroyed then
    connection.socket:destroy()
    return
  end
  self._connection = connection
  self.socket = connection.socket
  self.reused_socket = connection.uses > 0
  connection:start(self, self._what.max_header_size or 65536)
  send_late(self)
end

local function connect(self, is_fresh)
  if self.destroyed then
    return
  end
  local agent = self._what.agent
  if agent == false then
    return connected(self, Connection.new(self._what))
  end
  (agent or Agent.global):_connect(self._what, is_fresh, function(connection)
    connected(self, connection)
  end)
end

--- Begins a request.
---@param what table checked options
---@return mw.ClientRequest
function Request.new(what)
  local self = setmetatable({
    method = what.method,
    path = what.path,
    host = what.host,
    _what = what,
    _headers = Headers.new(),
  }, Request)
  self:_init_writable()
  for name, value in pairs(what.headers or {}) do
    self._headers:set("request", name, value)
  end
  default_headers(self, what)
  if what.signal then
    watch_token(self, what.signal)
  end
  watch_time(self, what.timeout)
  tick.add(connect, self, false)
  return self
end

-- The head ------------------------------------------------------------------

local function check_open(self, what)
  if self.headers_sent then
    errors.misuse("%s: the head is sent already (ERR_HTTP_HEADERS_SENT)", what)
  end
end

--- Sets a header, in place of one of that name; a list sends it several times.
---@param name string
---@param value string|number|string[]
---@return mw.ClientRequest self
function Request:set_header(name, value)
  check_open(self, "set_header")
  self._headers:set("set_header", name, value)
  return self
end

---@param name string
---@return string|string[]|nil
function Request:get_header(name)
  return self._headers:get(name)
end

---@param name string
---@return mw.ClientRequest self
function Request:remove_header(name)
  check_open(self, "remove_header")
  self._headers:remove(name)
  return self
end

-- The framing is ours, but for a length.
local function frame(self, length)
  local headers = self._headers
  headers:remove "transfer-encoding"
  if headers:get "content-length" then
    return
  elseif not length then
    self._is_chunked = true
    headers:set("request", "Transfer-Encoding", "chunked")
  elseif length > 0 or has_body[self.method] then
    headers:set("request", "Content-Length", length)
  end
end

-- The head, for a body of that length; nil where it is not known.
local function head_of(self, length)
  if not self.headers_sent then
    self.headers_sent = true
    frame(self, length)
    if not self._headers:get "connection" then
      self._headers:set("request", "Connection", self._what.agent == false and "close" or "keep-alive")
    end
  end
  return ("%s %s HTTP/1.1\r\n%s\r\n"):format(self.method, self.path, self._headers:text())
end

-- The body ------------------------------------------------------------------

local function when_connected(self, send)
  if self._connection then
    send()
  else
    self._late = send
  end
end

function Request:_write(chunk, done)
  when_connected(self, function()
    self._is_in_pieces = true
    local head = self.headers_sent and "" or head_of(self, nil)
    if chunk ~= "" and self._is_chunked then
      chunk = ("%x\r\n%s\r\n"):format(#chunk, chunk)
    end
    self.socket:write(head .. chunk, done)
  end)
end

function Request:_final(done)
  when_connected(self, function()
    if self._is_in_pieces then
      return self.socket:write(self._is_chunked and "0\r\n\r\n" or "", done)
    end
    local whole = self._whole or ""
    self.socket:write(head_of(self, #whole) .. whole)
    done()
  end)
end

--- Writes a last chunk, where there is one, and ends the request. One that is
--- all of the body goes out with its Content-Length.
---@param chunk? string|number
---@param callback? fun(err: any)
---@return mw.ClientRequest self
function Request:finish(chunk, callback)
  if type(chunk) == "number" then
    chunk = tostring(chunk)
  end
  if type(chunk) == "string" and self._last == 0 and not self._finishing and not self.destroyed then
    self._whole, chunk = chunk, nil
  end
  return Writable.finish(self, chunk, callback)
end

-- The answer ----------------------------------------------------------------

--- Gives the response or the error to a callback.
---@param callback fun(err: any, res: mw.ClientResponse?)
function Request:_answer_to(callback)
  self._callback = callback
end

-- It ends only with the response.
function Request:_destroy_when_over() end

--- The response is there.
---@param response mw.ClientResponse
function Request:_answered(response)
  local callback = self._callback
  self._callback, self._is_answered = nil, true
  timers.clear_timeout(self._timer)
  self._timer = nil
  local is_heard = self:emit("response", response)
  if callback then
    tick.add(callback, nil, response)
  elseif not is_heard then
    response:resume()
  end
end

--- All of the response has come.
function Request:_over()
  self._connection = nil
  stop_watching(self)
  if not self.destroyed then
    self._finish_emitted = true
    self:destroy()
  end
end

-- A connection that the server has ended while nobody used it says nothing
-- about this request.
local function may_retry(self, connection)
  return connection.uses > 0 and not self._was_retried and not self._bytes_came and not self._is_in_pieces
    and idempotent[self.method] and not self.destroyed
end

--- The connection has failed before the response came.
---@param err any
---@param connection mw.ClientConnection
function Request:_failed(err, connection)
  self._connection = nil
  if not may_retry(self, connection) then
    return self:destroy(err)
  end
  self._was_retried = true
  if self._final_called then
    self._late = function()
      self.socket:write(head_of(self, #(self._whole or "")) .. (self._whole or ""))
    end
  end
  connect(self, true)
end

function Request:_destroy(done, err)
  local connection, callback = self._connection, self._callback
  self._connection, self._callback, self._late = nil, nil, nil
  stop_watching(self)
  if connection then
    connection:_cut()
  end
  if callback then
    self._error_is_told = true
    tick.add(callback, err or errors.new("ECONNRESET", "ECONNRESET: socket hang up"))
  end
  done()
end

function Request:_error_is_taken()
  return self._error_is_told or self._is_answered
end

function Request:__tostring()
  return ("mw.http.client_request (%s http://%s%s)"):format(self.method, self.host, self.path)
end

return Request
