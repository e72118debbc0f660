-- HTTP/1.1: the door. (https://nodejs.org/api/http.html)

local Server = require "mw.http.server"
local options = require "mw.options"
local query = require "mw.http.query"
local task = require "mw.task"

-- What most servers do without is loaded when it is first looked at.
local later = {
  Agent = function()
    return require "mw.http.agent"
  end,
  global_agent = function()
    return require("mw.http.agent").global
  end,
  router = function()
    return require "mw.http.router"
  end,
  static = function()
    return require("mw.http.static").new
  end,
}

---@class mw.http
---@field Agent table
---@field global_agent mw.HttpAgent that of requests which name none
---@field router fun(): mw.Router
---@field static fun(folder: string, opts?: table): function files of a folder, as a handler
local M = setmetatable({
  Server = Server,
  create_server = Server.new,
  parse_query = query.parse,
  stringify_query = query.stringify,
}, {
  __index = function(self, name)
    local load = later[name]
    if load then
      self[name] = load()
      return rawget(self, name)
    end
  end,
})

local function new_request(checked)
  return require("mw.http.client_request").new(checked)
end

local function check(what, ...)
  return require("mw.http.arguments").request(what, ...)
end

-- Its error goes to the callback, else it is an event.
local function start(what, callback, ...)
  local request = new_request(check(what, ...))
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
  local checked = check("get", target, opts)
  return task.answer("a response", callback, function(done)
    local request = new_request(checked)
    request:_answer_to(done)
    request:finish()
    return request
  end, function(request)
    request:destroy()
  end)
end

return M
