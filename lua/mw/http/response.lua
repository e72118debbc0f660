-- Responses of a server: writable streams into the engine, which puts them
-- together. (https://nodejs.org/api/http.html#class-httpserverresponse)

local Writable = require("mw.stream").Writable
local cookies = require "mw.http.cookies"
local core = require "mw.core.http"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local json = require "mw.json"
local options = require "mw.options"
local tick = require "mw.tick"

---@class mw.HttpResponse: mw.Writable
---@field status_code integer 200 where nobody says otherwise
---@field status_message string? the usual phrase where absent
---@field headers_sent boolean whether the head can't be changed any more
---@field req mw.HttpRequest
local Response = emitter.class("mw.http.response", Writable)

-- How a response begins. What differs is in the object.
Response.writable_side = true
Response.status_code = 200
Response.headers_sent = false
Response.destroyed = false
Response.closed = false
Response._has_begun = false -- in pieces

---@param req mw.HttpRequest
---@param exchange userdata
---@return mw.HttpResponse
function Response.new(req, exchange)
  return setmetatable({ req = req, _exchange = exchange }, Response)
end

-- What is below is no end of a request.
local status = options.integer(200, 999)

local function check_message(what, message)
  if type(message) ~= "string" or not core.is_value(message) then
    errors.misuse("%s: bad argument 'message' (one line of text expected, got %s)", what, options.show(message))
  end
end

local function failure(self, code)
  if code == "EMSGSIZE" or code == "EPROTO" then
    return errors.new("ERR_HTTP_CONTENT_LENGTH_MISMATCH",
      "ERR_HTTP_CONTENT_LENGTH_MISMATCH: the body is not as long as Content-Length says")
  end
  return self.errored or errors.system(code, "write")
end

-- The head ------------------------------------------------------------------

local function check_open(self, what)
  if self.headers_sent then
    errors.misuse("%s: the head is sent already (ERR_HTTP_HEADERS_SENT)", what)
  end
end

local function put(self, what, method, name, value)
  local text = value
  if type(value) == "number" then
    text = math.type(value) == "integer" and tostring(value) or ("%.14g"):format(value)
  end
  options.argument(what, "name", name, options.bytes)
  options.argument(what, "value", text, options.bytes)
  local problem = method(self._exchange, name, text)
  if problem == "name" then
    errors.misuse("%s: bad argument 'name' (name of a header expected, got %s)", what, options.show(name))
  elseif problem == "value" then
    errors.misuse("%s: bad argument 'value' (text that the header '%s' can have expected, got %s)", what, name,
      options.show(value))
  end
end

local function set(self, what, name, value)
  local exchange = self._exchange
  if type(value) ~= "table" then
    return put(self, what, exchange.set_header, name, value)
  end
  options.argument(what, "name", name, options.bytes)
  exchange:remove_header(name)
  for _, one in ipairs(value) do
    put(self, what, exchange.add_header, name, one)
  end
end

--- Sets a header, in place of those of that name; a list sends it several times.
--- A CR, LF or NUL in it is misuse, and so is a head that is sent already.
---@param name string
---@param value string|number|string[]
---@return mw.HttpResponse self
function Response:set_header(name, value)
  if not self.headers_sent and not self._exchange:set_header(name, value) then
    return self
  end
  check_open(self, "set_header")
  set(self, "set_header", name, value)
  return self
end

--- Adds a header to those of that name.
---@param name string
---@param value string|number
---@return mw.HttpResponse self
function Response:append_header(name, value)
  check_open(self, "append_header")
  put(self, "append_header", self._exchange.add_header, name, value)
  return self
end

--- What was set; a list where it was several times, nil where it was not.
---@param name string
---@return string|string[]|nil
function Response:get_header(name)
  local first, second = self._exchange:get_header(name)
  return second and { self._exchange:get_header(name) } or first
end

--- Adds a cookie. (RFC 6265)
---@param name string
---@param value string
---@param opts? mw.CookieOptions
---@return mw.HttpResponse self
function Response:set_cookie(name, value, opts)
  return self:append_header("Set-Cookie", cookies.format(name, value, opts))
end

---@param name string
---@return boolean
function Response:has_header(name)
  return self._exchange:get_header(name) ~= nil
end

---@param name string
---@return mw.HttpResponse self
function Response:remove_header(name)
  check_open(self, "remove_header")
  self._exchange:remove_header(name)
  return self
end

--- Fixes the status and the head, which goes out with the first piece of the
--- body. (Node: response.writeHead)
---@param code integer
---@param message? string in place of the usual phrase
---@param headers? table<string, string|number|string[]>
---@return mw.HttpResponse self
function Response:write_head(code, message, headers)
  if type(message) == "table" then
    message, headers = nil, message
  end
  options.argument("write_head", "status", code, status)
  options.optional("write_head", "headers", headers, options.table)
  check_open(self, "write_head")
  if message ~= nil then
    check_message("write_head", message)
  end
  for name, value in next, headers or {} do
    set(self, "write_head", name, value)
  end
  self.status_code, self.status_message = code, message
  self.headers_sent = true
  return self
end

-- What goes into the status line, which may have been set by hand.
local function status_of(self)
  local code, message = self.status_code, self.status_message
  if code ~= 200 then
    options.argument("response", "status_code", code, status)
  end
  if message then
    check_message("response", message)
  end
  return code, message
end

local function begin(self)
  local code, message = status_of(self)
  self.headers_sent, self._has_begun = true, true
  return self._exchange:begin(code, message)
end

--- Sends the head at once, for a body that comes later.
---@return mw.HttpResponse self
function Response:flush_headers()
  if not self.destroyed and not self._has_begun then
    begin(self)
  end
  return self
end

-- The body ------------------------------------------------------------------

function Response:_write(chunk, done)
  local exchange = self._exchange
  if not self._has_begun then
    begin(self)
  end
  local more, code = exchange:write(chunk)
  if more then
    done()
  elseif more == false then
    self._on_drain = done
  else
    done(failure(self, code))
  end
end

--- Writes a piece of the body; the head goes out before the first.
---@param chunk string|number
---@param callback? fun(err: any)
---@return boolean
function Response:write(chunk, callback)
  if not self._pending then
    self:_init_writable() -- which most responses never need
  end
  return Writable.write(self, chunk, callback)
end

--- The engine takes more.
function Response:_drained()
  local done = self._on_drain
  self._on_drain = nil
  if done then
    done()
  end
end

local function emit_close(self)
  if not self.destroyed then
    self:destroy()
  end
end

function Response:_final(done)
  local exchange = self._exchange
  local ok, code
  if self._has_begun then
    ok, code = exchange:finish()
  else
    local status_code, message = status_of(self)
    ok, code = exchange:respond(status_code, message, self._whole)
    self.headers_sent = true
  end
  done(not ok and failure(self, code) or nil)
end

local Over -- the class of a response that is, to the last event

-- Nobody listens: then it is over as soon as the engine has it.
local function respond(self, chunk)
  local status_code, message = status_of(self)
  local ok, code = self._exchange:respond(status_code, message, chunk)
  if ok then
    setmetatable(self, Over)
  else
    self._finishing, self.headers_sent = true, true
    self:destroy(failure(self, code))
  end
end

--- Writes a last chunk, where there is one, and ends the response. One that is
--- all of the body goes out with its Content-Length. (Node: response.end)
---@param chunk? string|number
---@param callback? fun(err: any)
---@return mw.HttpResponse self
function Response:finish(chunk, callback)
  local kind = chunk == nil and "string" or type(chunk)
  if kind == "number" then
    chunk, kind = tostring(chunk), "string"
  end
  if kind ~= "string" or self._pending or self._has_begun or self._finishing or self.destroyed then
    return Writable.finish(self, chunk, callback)
  elseif callback or self._events then
    self._whole = chunk
    return Writable.finish(self, nil, callback)
  end
  respond(self, chunk)
  return self
end

--- Answers with a value as JSON.
---@param value any
---@return mw.HttpResponse self
function Response:json(value)
  local text = json.encode(value)
  if not self:has_header "content-type" then
    self:set_header("Content-Type", "application/json; charset=utf-8")
  end
  return self:finish(text)
end

--- Answers with bytes of a file, which the kernel sends. The descriptor is the
--- response's from then on.
---@param fd integer
---@param offset integer
---@param length integer
function Response:_finish_with_file(fd, offset, length)
  local status_code, message = status_of(self)
  local ok, code = self._exchange:respond_file(status_code, message, fd, offset, length)
  self._finishing, self.headers_sent, self._final_called = true, true, true
  if not ok then
    self:destroy(failure(self, code))
    return nil, code
  end
  tick.add(function()
    self._finish_emitted = true
    self:emit "finish"
    emit_close(self)
  end)
  return true
end

--- Answers for a handler that can't: by that status, or by cutting the
--- connection where something is out already.
---@param code integer
function Response:_fail(code)
  if self.destroyed and self._finish_emitted then
    return
  elseif self._exchange:has_begun() then
    self._exchange:cut()
    return
  end
  for _, name in ipairs { "content-length", "content-type", "content-encoding", "etag", "cache-control" } do
    self._exchange:remove_header(name)
  end
  self._exchange:set_header("Content-Type", "text/plain; charset=utf-8")
  self._exchange:respond(code, nil, core.reason(code) .. "\n")
  self._finishing, self._finish_emitted = true, true
  self:destroy()
end

function Response:_destroy(done, err)
  if err ~= nil or not self._finish_emitted then
    self._exchange:cut()
  end
  done()
end

-- A client that went away is no error of the handler's.
function Response:_error_is_taken()
  return true
end

function Response:__tostring()
  return ("mw.http.response (%d)"):format(self.status_code)
end

Over = emitter.class("mw.http.response", Response)
Over.headers_sent = true
Over.destroyed = true
Over.closed = true
Over._finishing = true
Over._finish_emitted = true
Over._final_called = true

return Response
