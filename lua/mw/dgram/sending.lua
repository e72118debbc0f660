-- Sending datagrams: the forms of `send`, and the way of one datagram through
-- the look-up of its host to the kernel.

local errors = require "mw.error"
local failure = require "mw.dgram.failure"
local look_up = require "mw.look_up"
local options = require "mw.options"
local tick = require "mw.tick"

local M = {}

local check_port = options.integer(1, 65535)
local local_hosts = { udp4 = "127.0.0.1", udp6 = "::1" }

local function join(list)
  for index = 1, #list do
    if type(list[index]) ~= "string" then
      errors.misuse("send: bad argument 'message' (list of strings expected, item %d is %s)", index, options.show(list[index]))
    end
  end
  return table.concat(list)
end

local function check_range(name, value, limit)
  failure.check("send", name, value, options.integer(0, limit), "ERR_BUFFER_OUT_OF_BOUNDS")
end

local function part(message, offset, length)
  options.argument("send", "message", message, options.bytes)
  check_range("offset", offset, #message)
  check_range("length", length, #message - offset)
  return message:sub(offset + 1, offset + length)
end

-- Of a connected socket: (message[, callback]) or (message, offset, length[, callback]).
local function to_peer(message, first, second, third, fourth)
  if type(second) == "number" then
    message, first, second = part(message, first, second), third, fourth
  end
  if second ~= nil or first ~= nil and type(first) ~= "function" then
    failure.misuse("send", "the socket is connected, and takes no port or address", "ERR_SOCKET_DGRAM_IS_CONNECTED")
  end
  return message, nil, nil, first
end

-- Of any other: (message[, offset, length], port[, address][, callback]).
local function to_address(message, first, second, third, fourth, fifth)
  if fourth ~= nil or third ~= nil and type(third) ~= "function" then
    message, first, second, third = part(message, first, second), third, fourth, fifth
  end
  if type(second) == "function" and third == nil then
    second, third = nil, second
  end
  failure.check("send", "port", first, check_port, "ERR_SOCKET_BAD_PORT")
  options.optional("send", "address", second, options.text)
  options.optional("send", "callback", third, options.callback)
  return message, first, second, third
end

local function flatten(message, ...)
  if type(message) == "table" then
    message = join(message)
  elseif type(message) ~= "string" then
    errors.misuse("send: bad argument 'message' (string or list of strings expected, got %s)", options.show(message))
  end
  return message, ...
end

--- Tells apart the forms of `send`.
---@param is_connected boolean
---@param ... any
---@return string message
---@return integer? port nil on a connected socket
---@return string? address
---@return fun(err: any, size: integer?)? callback
function M.arguments(is_connected, ...)
  if is_connected then
    return flatten(to_peer(...))
  end
  return flatten(to_address(...))
end

--- Tells of a failure, once the caller's code has returned: its callback, or who
--- listens to `error`.
---@param socket mw.DgramSocket
---@param callback? fun(err: any)
---@param err any
function M.fail(socket, callback, err)
  if callback then
    tick.add(callback, err)
  elseif socket._handle then
    tick.add(socket.emit, socket, "error", err)
  end
end

--- The host that is meant: this machine where none is named.
---@param socket mw.DgramSocket
---@param address? string
---@return string
function M.host(socket, address)
  return address ~= "" and address or local_hosts[socket.type]
end

-- The kernel has no room: libuv keeps the datagram until it has.
local function send_later(socket, message, ip, port, callback)
  local function over(err)
    if err then
      M.fail(socket, callback, failure.at(err:match "^%u[%u%d]+", "send", ip, port))
    elseif callback then
      callback(nil, #message)
    end
  end
  local ok, text = socket._handle:send(message, ip, port, over)
  if not ok then
    over(text)
  end
end

local function transmit(socket, message, ip, port, callback)
  local size, _, code = socket._handle:try_send(message, ip, port)
  if code == "EAGAIN" then
    send_later(socket, message, ip, port, callback)
  elseif not size then
    M.fail(socket, callback, failure.at(code, "send", ip, port))
  elseif callback then
    tick.add(callback, nil, size)
  end
end

--- Sends a datagram from a bound socket.
---@param socket mw.DgramSocket
---@param message string
---@param port? integer nil on a connected socket
---@param address? string a name or numeric; this machine where absent
---@param callback? fun(err: any, size: integer?)
function M.send(socket, message, port, address, callback)
  if not port then
    return transmit(socket, message, nil, nil, callback)
  end
  local host = M.host(socket, address)
  if not socket._lookup and look_up.family(host) == socket._family then
    return transmit(socket, message, host, port, callback)
  end
  socket:_resolve(host, "send", port, function(err, ip)
    if err ~= nil then
      return M.fail(socket, callback, err)
    end
    transmit(socket, message, ip, port, callback)
  end)
end

return M
