-- Requests, as the handlers of a server get them: readable streams over what the
-- engine has read. All but the exchange is worked out when it is asked for.
-- Trailers behind the chunks of a body are checked and dropped.
-- (https://nodejs.org/api/http.html#class-httpincomingmessage)

local Connection = require "mw.http.connection"
local Readable = require("mw.stream").Readable
local body = require "mw.http.body"
local class = require "mw.core.class"
local cookies = require "mw.http.cookies"
local emitter = require "mw.emitter"
local json = require "mw.json"
local query = require "mw.http.query"
local upload = require "mw.http.upload"

---@class mw.HttpRequest: mw.Readable
---@field method string
---@field url string as it was sent
---@field path string the same without the query, still escaped
---@field query_string string "" where there is none
---@field query table<string, string|string[]>
---@field headers table<string, string|string[]> names in lower case; set-cookie is a list
---@field raw_headers string[] names and values by turns
---@field http_version "1.0"|"1.1"
---@field cookies table<string, string>
---@field params table<string, string>? of the router
---@field socket mw.HttpConnection
---@field complete boolean whether the body has been read to its end
local Request = emitter.class("mw.http.request", Readable)

Request.readable_side = true
Request._continuous = true

local getters = {}

-- What is asked for once will be asked for again.
local function kept(name, work_out)
  getters[name] = function(self)
    local value = work_out(self)
    rawset(self, name, value)
    return value
  end
end

kept("method", function(self)
  return self._exchange:method()
end)

kept("url", function(self)
  return self._exchange:target()
end)

kept("http_version", function(self)
  return self._exchange:version()
end)

kept("headers", function(self)
  return self._exchange:headers()
end)

kept("raw_headers", function(self)
  return self._exchange:raw_headers()
end)

kept("path", function(self)
  local path = self.url:match "^[^?]*"
  -- An absolute URL is what proxies are asked for; to us it is the same.
  return path:match "^%a[%w+.-]*://[^/]*(/.*)$" or (path:match "^%a[%w+.-]*://" and "/") or path
end)

kept("query_string", function(self)
  return self.url:match "%?(.*)$" or ""
end)

kept("query", function(self)
  return query.parse(self.query_string)
end)

kept("cookies", function(self)
  return cookies.parse(self:get_header "cookie")
end)

kept("socket", function(self)
  return Connection.new(self._exchange)
end)

function getters:complete()
  return self._ended or self._exchange:body_is_over()
end

-- The stream begins when somebody looks for it.
local function begin_stream(self)
  self:_init_readable(self._server._options.high_water_mark)
end

function getters:_buffer()
  begin_stream(self)
  return rawget(self, "_buffer")
end

function getters:_waiters()
  begin_stream(self)
  return rawget(self, "_waiters")
end

Request.__index = class.indexer(Request, getters)

---@param server mw.HttpServer
---@param exchange userdata
---@return mw.HttpRequest
function Request.new(server, exchange)
  return setmetatable({ _exchange = exchange, _server = server }, Request)
end

function Request:_read()
  if self._exchange:body_is_over() then
    self:push(nil)
  else
    self._exchange:want(true)
  end
end

--- Takes a piece from the engine, nil at the end.
---@param piece string?
function Request:_arrived(piece)
  if not self:push(piece) and piece then
    self._exchange:want(false)
  end
end

function Request:_destroy(done)
  self._exchange:want(false)
  done()
end

-- As in Node: that the peer went away is no news to one who did not ask.
function Request:_error_is_taken()
  return true
end

--- Waits for the whole body and returns it. Past `limit` it returns nil and
--- ERR_HTTP_BODY_TOO_LARGE; where the client goes away, nil and ECONNRESET.
---@type fun(self: mw.HttpRequest, limit?: integer, callback?: fun(err: any, body: string?)): string?, mw.Error?
function Request:body(limit, callback)
  if not rawget(self, "_buffer") and limit == nil and not callback and self._exchange:body_is_over() then
    return self._whole_body or ""
  end
  return body.read(self, limit, callback)
end

--- Waits for the body and decodes it; nil and an error where it is no JSON.
---@param limit? integer bytes
---@return any value
---@return mw.Error? err
function Request:json(limit)
  local text, err = self:body(limit)
  if not text then
    return nil, err
  end
  return json.decode(text)
end

--- Waits for the body and reads it as a form (application/x-www-form-urlencoded).
---@param limit? integer bytes
---@return table<string, string|string[]>? values
---@return mw.Error? err
function Request:form(limit)
  local text, err = self:body(limit)
  if not text then
    return nil, err
  end
  return query.parse(text)
end

--- Waits for a form with files, which are written to disk while they come.
---@type fun(self: mw.HttpRequest, opts?: table): table?, mw.Error?
Request.multipart = upload.read

--- The value of a header, its name in any case; nil where it is absent. Cheaper
--- than `headers` for one or two of them.
---@param name string
---@return string?
function Request:get_header(name)
  return self._exchange:header(name)
end

function Request:__tostring()
  return ("mw.http.request (%s %s)"):format(self.method, self.url)
end

return Request
