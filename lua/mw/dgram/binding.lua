-- Binding a socket: at once on request, or on the way when it is first used;
-- and what waits until it is done.

local errors = require "mw.error"
local failure = require "mw.dgram.failure"
local options = require "mw.options"
local source = require "mw.dgram.source"
local tick = require "mw.tick"
local uv = require "luv"

---@class mw.DgramSocket
---@field private _state "unbound"|"binding"|"bound"
---@field private _queue (fun(err: any))[]? what waits until the socket is bound
---@field private _close_is_due boolean? whether close() waits behind it
local Binding = {}

local any_address = { udp4 = "0.0.0.0", udp6 = "::" }

local schema = {
  port = options.integer(0, 65535),
  address = options.text,
  exclusive = options.boolean,
  fd = options.integer(0, 0x7fffffff),
}

local function check_port(port)
  if port ~= nil then
    failure.check("bind", "port", port, schema.port, "ERR_SOCKET_BAD_PORT")
  end
end

local function from_options(opts, callback, more)
  if more ~= nil then
    errors.misuse "bind: too many arguments"
  end
  options.optional("bind", "callback", callback, options.callback)
  check_port(opts.port)
  options.check("bind", opts, schema)
  return opts, callback
end

-- Tells apart `([port][, address][, callback])` and `(options[, callback])`.
local function arguments(port, address, callback)
  if type(port) == "table" then
    return from_options(port, address, callback)
  elseif type(port) == "function" then
    port, callback = nil, port
  elseif type(address) == "function" then
    address, callback = nil, address
  end
  options.optional("bind", "callback", callback, options.callback)
  options.optional("bind", "address", address, options.text)
  check_port(port)
  return { port = port, address = address }, callback
end

-- What has waited goes on, or learns why it can't; then comes the close that
-- was asked for meanwhile.
local function flush(self, queue, err)
  for _, go_on in ipairs(queue or {}) do
    go_on(err)
  end
  if self._close_is_due then
    self._close_is_due = nil
    self:close()
  end
end

local function set_buffer_size(self, name)
  local size = self["_" .. name]
  if not size then
    return
  end
  local ok, err = self["set_" .. name](self, size)
  if not ok then
    self:emit("error", err)
  end
end

local function begin(self)
  if not self._handle then
    return
  end
  self._state, self._on_bound = "bound", nil
  set_buffer_size(self, "recv_buffer_size")
  set_buffer_size(self, "send_buffer_size")
  self:_start_receiving()
  self:emit "listening"
  local queue = self._queue
  self._queue = nil
  flush(self, queue)
end

--- Goes on with a handle that is bound, once the caller has had the time to
--- listen.
function Binding:_start_bound()
  self._state = "bound"
  tick.add(begin, self)
end

local function replace_handle(self, handle)
  local old = self._handle
  if handle == old then
    return
  elseif not old:has_ref() then
    handle:unref()
  end
  old:close()
  self._handle = handle
end

-- The next try may want a descriptor of its own. The listener of `error` may
-- begin it: what waits is told of this one.
local function fail(self, err)
  local queue, callback = self._queue, self._on_bound
  self._state, self._queue, self._on_bound = "unbound", nil, nil
  replace_handle(self, uv.new_udp())
  if callback then
    self:off("listening", callback)
  end
  self:emit("error", err)
  flush(self, queue, err)
end

local function end_bind(self, err, handle)
  if not self._handle then
    return handle and handle:close()
  elseif err ~= nil then
    return fail(self, err)
  end
  replace_handle(self, handle)
  begin(self)
end

local function obtain(self, what)
  if self._handle then
    source.obtain(self, what, function(err, handle)
      end_bind(self, err, handle)
    end)
  end
end

local function bind_to_address(self, what)
  if not self._handle then
    return
  end
  self:_resolve(what.address, "bind", what.port, function(err, ip)
    if err ~= nil then
      return end_bind(self, err)
    end
    what.address = ip
    obtain(self, what)
  end)
end

local function bind_to_descriptor(self, what)
  if source.is_provided(what) then
    self._state = "binding"
    return tick.add(obtain, self, what)
  end
  source.open(self._handle, what.fd)
  self:_note_peer()
  self:_start_bound()
end

local function start(self, opts)
  local what = {
    type = self.type,
    fd = opts.fd and math.tointeger(opts.fd),
    exclusive = opts.exclusive or self._reuse_port or false,
    ipv6_only = self._ipv6_only or false,
    reuse_address = self._reuse_addr or false,
    reuse_port = self._reuse_port or false,
  }
  if what.fd then
    return bind_to_descriptor(self, what)
  end
  self._state = "binding"
  what.port = math.tointeger(opts.port or 0)
  what.address = opts.address ~= "" and opts.address or any_address[self.type]
  tick.add(bind_to_address, self, what)
end

--- Binds the socket and begins to receive: `bind([port][, address][, callback])`
--- or `bind({ port =, address =, exclusive =, fd = }[, callback])`. Port 0, or
--- none, takes a free one; without an address it is all of this machine. `fd` is
--- a UDP socket that is bound already. `exclusive`: in a worker of a cluster,
--- not shared with the others. Then comes `listening`, or `error`.
---@param ... any
---@return mw.DgramSocket? self nil where it is closed
---@return mw.Error? err
function Binding:bind(...)
  local opts, callback = arguments(...)
  local closed = failure.if_closing(self)
  if closed then
    return nil, closed
  elseif self._state ~= "unbound" then
    failure.misuse("bind", "the socket is bound already", "ERR_SOCKET_ALREADY_BOUND")
  end
  start(self, opts)
  if callback then
    self._on_bound = callback
    self:once("listening", callback)
  end
  return self
end

--- Calls `go_on([err])` as soon as the socket is bound: by itself, to a free
--- port, where nobody has asked for one.
---@param go_on fun(err: any)
function Binding:_after_bind(go_on)
  if self._state == "bound" then
    return go_on()
  elseif self._state == "unbound" then
    start(self, { exclusive = true })
  end
  self._queue = self._queue or {}
  table.insert(self._queue, go_on)
end

return Binding
