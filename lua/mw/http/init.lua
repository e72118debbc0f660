-- HTTP/1.1: the door. (https://nodejs.org/api/http.html)

local Agent = require "mw.http.agent"
local ClientRequest = require "mw.http.client_request"
local Server = require "mw.http.server"
local arguments = require "mw.http.arguments"
local options = require "mw.options"
local query = require "mw.http.query"
local router = require "mw.http.router"
local static = require "mw.http.static"
local task = require "mw.task"

local M = {
  Agent = Agent,
  Server = Server,
  create_server = Server.new,
  --- Files of a folder, as a handler.
  static = static.new,
  router = router,
  --- The agent of requests that name none.
  global_agent = Agent.global,
  parse_query = query.parse,
  stringify_query = query.stringify,
}

-- Its error goes to the callback, else it is an event.
local function start(what, callback, ...)
  local request = ClientRequest.new(arguments.request(what, ...))
  if callback then
    request:_answer_to(callback)
  end
  return request
end

--- Begins a request and returns it: it has to be finished by `finish([chunk])`.
--- `response` follows, or `error`; a callback gets (err, res) in place of both.
--- The forms are (options) and (url[, options]), each with the callback behind.
--- Options: method host port path headers socket_path auth agent (false for none)
--- timeout signal max_header_size local_address family lookup.
--- (Node: http.request)
---@param ... any
---@return mw.ClientRequest
function M.request(...)
  local count = select("#", ...)
  local last = select(count > 0 and count or 1, ...)
  if type(last) == "function" then
    local list = table.pack(...)
    return start("request", last, table.unpack(list, 1, count - 1))
  end
  return start("request", nil, ...)
end

--- Sends a GET and waits for the response, whose head is all there then; nil and
--- an error where none comes. With a callback, gives it (err, res) and returns
--- the request. (Node: http.get)
---@param target string|table url, or the options of request()
---@param opts? table more of these
---@param callback? fun(err: any, res: mw.ClientResponse?)
---@return mw.ClientResponse?
---@return mw.Error? err
function M.get(target, opts, callback)
  if type(opts) == "function" and callback == nil then
    opts, callback = nil, opts
  end
  options.optional("get", "callback", callback, options.callback)
  local what = arguments.request("get", target, opts)
  return task.answer("a response", callback, function(done)
    local request = ClientRequest.new(what)
    request:_answer_to(done)
    request:finish()
    return request
  end, function(request)
    request:destroy()
  end)
end

return M
