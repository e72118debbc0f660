-- Responses, as a client gets them: readable streams.
-- (https://nodejs.org/api/http.html#class-httpincomingmessage)

local Readable = require("mw.stream").Readable
local body = require "mw.http.body"
local emitter = require "mw.emitter"
local json = require "mw.json"

---@class mw.ClientResponse: mw.Readable
---@field status_code integer
---@field status_message string
---@field http_version "1.0"|"1.1"
---@field headers table<string, string|string[]> names in lower case; set-cookie is a list
---@field raw_headers string[] names and values by turns
---@field complete boolean whether all of it has come
---@field req mw.ClientRequest
local Response = emitter.class("mw.http.client_response", Readable)

Response.complete = false
Response._continuous = true

---@param head table as the reader gives it
---@param connection mw.ClientConnection
---@param req mw.ClientRequest
---@return mw.ClientResponse
function Response.new(head, connection, req)
  local self = setmetatable(head, Response)
  self._connection, self.req = connection, req
  self:_init_readable()
  return self
end

function Response:_read()
  if self._connection then
    self._connection:_go_on_reading()
  end
end

function Response:_destroy(done)
  local connection = self._connection
  self._connection = nil
  if connection and not self.complete then
    connection:_cut()
  end
  done()
end

-- Who waits for the body gets the error there.
function Response:_error_is_taken()
  return self:listener_count "data" == 0
end

--- Waits for the whole body and returns it, each time the same; nil and an
--- error where it does not come whole, or has more than `limit` bytes.
---@type fun(self: mw.ClientResponse, limit?: integer, callback?: fun(err: any, body: string?)): string?, mw.Error?
Response.body = body.read

--- Waits for the body and decodes it; nil and an error where it is no JSON.
---@param limit? integer bytes
---@return any value
---@return mw.Error? err
function Response:json(limit)
  local text, err = self:body(limit)
  if not text then
    return nil, err
  end
  return json.decode(text)
end

function Response:__tostring()
  return ("mw.http.client_response (%d)"):format(self.status_code)
end

return Response
