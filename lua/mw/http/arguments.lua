-- What may stand in the calls of request() and get(), turned into one table.

local core = require "mw.core.http"
local errors = require "mw.error"
local options = require "mw.options"

local M = {}

local function method(value)
  if type(value) ~= "string" or not core.is_token(value) then
    return "name of a method"
  end
end

-- What goes into the request line must not end it.
local function target(value)
  if type(value) ~= "string" or value == "" or value:find "[%c ]" then
    return "path without spaces and control characters"
  end
end

local function headers(value)
  if type(value) ~= "table" then
    return "table"
  end
end

local function agent(value)
  if value ~= false and (type(value) ~= "table" or not value._connect) then
    return "agent, or false"
  end
end

local schema = {
  method = method,
  host = options.name,
  hostname = options.name,
  port = options.integer(0, 65535),
  path = target,
  headers = headers,
  socket_path = options.name,
  auth = options.bytes,
  agent = agent,
  timeout = options.size,
  signal = options.abort_signal,
  max_header_size = options.integer(1),
  local_address = options.name,
  family = options.integer(0, 6),
  lookup = options.callback,
}

-- "http://user:word@host:port/path?query#part", as a table of options
local function parse_url(what, url)
  local scheme, rest = url:match "^(%a[%w+.-]*)://(.*)$"
  if not scheme or scheme:lower() ~= "http" then
    errors.misuse("%s: bad argument 'url' (URL that begins with http:// expected, got %s)", what, options.show(url))
  end
  local authority, path = rest:match "^([^/?#]*)([^#]*)"
  local auth, place = authority:match "^(.*)@(.*)$"
  place = place or authority
  local host, port = place:match "^%[([%x:.]+)%]:?(%d*)$"
  if not host then
    host, port = place:match "^([^:]*):?(%d*)$"
  end
  if not host or host == "" or target(path == "" and "/" or path) then
    errors.misuse("%s: bad argument 'url' (got %s)", what, options.show(url))
  end
  return {
    host = host,
    port = tonumber(port),
    path = path:sub(1, 1) == "/" and path or "/" .. path,
    auth = auth,
  }
end

--- request(url[, options]) or request(options)
---@param what string the function that takes them
---@return table opts a table of our own
function M.request(what, first, second)
  local opts = {}
  if type(first) == "string" then
    opts = parse_url(what, first)
    first = second or {}
  elseif second ~= nil then
    errors.misuse("%s: too many arguments", what)
  end
  options.argument(what, "options", first, options.table)
  options.check(what, first, schema)
  for name, value in pairs(first) do
    opts[name] = value
  end
  opts.method = (opts.method or "GET"):upper()
  opts.host = opts.host or opts.hostname or "localhost"
  opts.port = opts.port or 80
  opts.path = opts.path or "/"
  return opts
end

return M
