-- What may stand in the calls of connect() and listen(), each in several
-- forms, turned into one table.

local address = require "mw.net.address"
local errors = require "mw.error"
local options = require "mw.options"

local M = {}

local port = options.integer(0, 65535)

-- A path of a Unix socket; one that begins with a NUL byte is an abstract name.
local function path(value)
  if type(value) ~= "string" or value == "" or value == "\0" or value:find("\0", 2, true) then
    return "path, or abstract name that begins with a NUL byte"
  end
end

local function ip(value)
  if address.is_ip(value) == 0 then
    return "numeric address"
  end
end

local function handle(value)
  if type(value) ~= "userdata" and type(value) ~= "table" then
    return "handle of luv, server or socket"
  end
end

-- The flags of getaddrinfo(3) that luv knows.
local function hints(value)
  local names = { addrconfig = true, v4mapped = true, all = true }
  local expected = "table of addrconfig, v4mapped and all"
  for name, flag in pairs(type(value) == "table" and value or { false }) do
    if not names[name] or type(flag) ~= "boolean" then
      return expected
    end
  end
end

local function family(value)
  if value ~= 0 and value ~= 4 and value ~= 6 then
    return "0, 4 or 6"
  end
end

local descriptor = options.integer(0, 0x7fffffff)

local connect_schema = {
  port = port,
  host = options.name,
  path = path,
  local_address = ip,
  local_port = port,
  family = family,
  hints = hints,
  lookup = options.callback,
  auto_select_family = options.boolean,
  auto_select_family_attempt_timeout = options.integer(1),
  no_delay = options.boolean,
  keep_alive = options.boolean,
  keep_alive_initial_delay = options.size,
}

local socket_schema = {
  fd = descriptor,
  handle = handle,
  allow_half_open = options.boolean,
  high_water_mark = options.integer(1),
  signal = options.abort_signal,
  timeout = options.size,
}

local server_schema = {
  allow_half_open = options.boolean,
  pause_on_connect = options.boolean,
  no_delay = options.boolean,
  keep_alive = options.boolean,
  keep_alive_initial_delay = options.size,
  high_water_mark = options.integer(1),
}

local listen_schema = {
  port = port,
  host = options.name,
  path = path,
  fd = descriptor,
  handle = handle,
  backlog = options.integer(0, 0x7fffffff),
  exclusive = options.boolean,
  reuse_port = options.boolean,
  ipv6_only = options.boolean,
  readable_all = options.boolean,
  writable_all = options.boolean,
  signal = options.abort_signal,
}

-- What net.connect() takes: the options of the socket and of its connect().
local create_schema = {}
for _, schema in ipairs { connect_schema, socket_schema } do
  for name, check in pairs(schema) do
    create_schema[name] = check
  end
end

-- Takes the function off the end.
local function split_listener(what, ...)
  local list = table.pack(...)
  while list.n > 0 and list[list.n] == nil do
    list.n = list.n - 1
  end
  local listener = type(list[list.n]) == "function" and list[list.n] or nil
  if listener then
    list[list.n], list.n = nil, list.n - 1
  end
  if list.n > 3 then
    errors.misuse("%s: too many arguments", what)
  end
  return list, listener
end

-- A port may be a text of digits, as it comes from the environment.
local function port_of(value)
  if type(value) == "number" or type(value) == "string" and value:match "^%d+$" then
    return tonumber(value)
  end
end

local function checked_copy(what, value, schema)
  options.check(what, value, schema)
  local copy = {}
  for name, option in pairs(value) do
    copy[name] = math.type(option) == "float" and math.tointeger(option) or option
  end
  return copy
end

local function check_target(what, opts)
  if opts.port == nil and opts.path == nil then
    errors.misuse("%s: port or path expected (ERR_MISSING_ARGS)", what)
  elseif opts.path and address.is_ip(opts.local_address) ~= 0 then
    errors.misuse("%s: option 'local_address' has no meaning for a path", what)
  end
end

local function connect_to(what, schema, ...)
  local list, listener = split_listener(what, ...)
  local first = list[1]
  local opts
  if type(first) == "table" then
    opts = checked_copy(what, first, schema)
  elseif port_of(first) then
    opts = { port = port_of(first), host = list[2] }
    options.argument(what, "port", opts.port, port)
    options.optional(what, "host", opts.host, options.name)
  else
    options.optional(what, "path", first, path)
    opts = { path = first }
  end
  check_target(what, opts)
  return opts, listener
end

--- socket:connect(options | port[, host] | path, [, listener])
---@return table opts a table of our own
---@return function? listener
function M.connect(...)
  return connect_to("connect", connect_schema, ...)
end

--- net.connect(): the same, with the options of the socket.
---@return table opts
---@return function? listener
function M.create_connection(...)
  return connect_to("connect", create_schema, ...)
end

local function constructor(what, schema)
  return function(opts)
    options.optional(what, "options", opts, options.table)
    return checked_copy(what, opts or {}, schema)
  end
end

--- Socket.new([options])
---@type fun(opts: table?): table
M.socket = constructor("Socket.new", socket_schema)

local server_options = constructor("create_server", server_schema)

--- create_server([options][, listener])
---@return table opts
---@return function? listener
function M.server(opts, listener)
  if type(opts) == "function" and listener == nil then
    opts, listener = nil, opts
  end
  options.optional("create_server", "listener", listener, options.callback)
  return server_options(opts), listener
end

-- Objects have a metatable, options have none.
local function is_object(value)
  return type(value) == "userdata" or type(value) == "table" and getmetatable(value) ~= nil
end

local function listen_on(list)
  local first = list[1]
  if is_object(first) then
    return { handle = first, backlog = list[2] }
  elseif type(first) == "table" then
    return first
  elseif first ~= nil and not port_of(first) then
    return { path = first, backlog = list[2] }
  elseif type(list[2]) == "number" then
    return { port = port_of(first), backlog = list[2] }
  end
  return { port = port_of(first) or 0, host = list[2], backlog = list[3] }
end

--- server:listen([port][, host][, backlog] | path[, backlog] |
--- handle[, backlog] | options, [, listener])
---@return table what
---@return function? listener
function M.listen(...)
  local list, listener = split_listener("listen", ...)
  local what = checked_copy("listen", listen_on(list), listen_schema)
  local object = what.handle
  if type(object) == "table" and math.type(object.fd) == "integer" then
    what.handle, what.fd = nil, object.fd
  end
  if not (what.port or what.path or what.fd or what.handle) then
    errors.misuse "listen: port, path, fd or handle expected (ERR_INVALID_ARG_VALUE)"
  end
  what.backlog = what.backlog or 511
  return what, listener
end

return M
