-- One end of a connection, TCP or Unix.
-- (https://nodejs.org/api/net.html#class-netsocket)

local Connector = require "mw.net.connector"
local HandleStream = require("mw.stream.handle").Duplex
local Idle = require "mw.net.idle"
local address = require "mw.net.address"
local arguments = require "mw.net.arguments"
local class = require "mw.core.class"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local failure = require "mw.net.failure"
local native = require "mw.net.native"
local options = require "mw.options"
local properties = require "mw.net.properties"
local tick = require "mw.tick"

---@class mw.Socket: mw.HandleStream
---@field connecting boolean from connect() on until it has succeeded or failed
---@field allow_half_open boolean whether finish() is left to the user when the peer has ended
---@field bytes_read integer
---@field timeout number? milliseconds, of set_timeout()
---@field bytes_written integer those that wait included
---@field pending boolean whether there is no connection yet, or no more
---@field ready_state "opening"|"open"|"read_only"|"write_only"|"closed"
---@field buffer_size integer bytes that wait to be written
---@field remote_address string?
---@field remote_port integer?
---@field remote_family "IPv4"|"IPv6"|nil
---@field local_address string?
---@field local_port integer?
---@field local_family "IPv4"|"IPv6"|nil
local Socket = emitter.class("mw.net.socket", HandleStream)

Socket.__index = class.indexer(Socket, properties)

Socket.connecting = false
Socket.bytes_read, Socket._bytes_taken = 0, 0

local function new(opts)
  local self = setmetatable({ allow_half_open = opts.allow_half_open or false }, Socket)
  self:_init_readable(opts.high_water_mark)
  self:_init_writable(opts.high_water_mark)
  return self
end

local function stop_watching(self)
  if self._idle then
    self._idle:close()
    self._idle = nil
  end
  if self._token then
    self._token:off("abort", self._on_abort)
    self._token = nil
  end
end

local function watch_token(self, token)
  local function abort()
    self:destroy(errors.aborted(token))
  end
  if token.aborted then
    return abort()
  end
  self._token, self._on_abort = token, abort
  token:on("abort", abort)
end

-- What was asked of the socket before it had a handle.
local function apply_settings(self)
  local handle = self._handle
  if self._no_delay ~= nil and handle.nodelay then
    handle:nodelay(self._no_delay)
  end
  if self._keep_alive ~= nil and handle.keepalive then
    handle:keepalive(self._keep_alive, self._keep_alive_delay)
  end
  if self._unreferenced then
    handle:unref()
  end
end

-- Goes on with what had to wait for the connection.
local function resume_sides(self)
  local write, final = self._late_write, self._late_final
  self._late_write, self._late_final = nil, nil
  if write then
    HandleStream._write(self, write.chunk, write.done)
  end
  if final then
    HandleStream._final(self, final)
  end
  if self._reading then
    self:_read()
  end
end

local function connected(self, err, handle)
  self.connecting, self._connector = false, nil
  if err then
    return self:destroy(err)
  end
  self._handle = handle
  apply_settings(self)
  resume_sides(self)
  self:_touch()
  self:emit "connect"
  self:emit "ready"
  self:_await_end()
  if self._reset_is_due then
    self:reset_and_destroy()
  end
end

-- Tells the listeners what a name stands for.
local function emit_lookup(self, err, addresses, host)
  if err ~= nil then
    self:emit("lookup", err, nil, nil, host)
    return
  end
  for _, entry in ipairs(addresses) do
    self:emit("lookup", nil, entry.address, entry.family, host)
  end
end

local function take_settings(self, opts)
  if opts.no_delay ~= nil then
    self._no_delay = opts.no_delay
  end
  if opts.keep_alive ~= nil then
    self._keep_alive = opts.keep_alive
    self._keep_alive_delay = (opts.keep_alive_initial_delay or 0) // 1000 | 0
  end
end

-- What a life leaves behind.
local traces = {}
for name in
  ([[
    destroyed closed errored bytes_read write
    _bytes_taken _end_emitted _end_scheduled _ended _final_called _final_over _finish_emitted _finishing
    _last _needs_drain _next _on_source_end _peer _pending_bytes _queued_before
    _read_error _read_failed _reading _reset _reset_is_due _source_over _started _was_read
  ]]):gmatch "%S+"
do
  traces[#traces + 1] = name
end

-- A socket that has ended begins a new life.
local function revive(self)
  for _, name in ipairs(traces) do
    self[name] = nil
  end
  self:_init_readable(self.high_water_mark)
  self:_init_writable(self.writable_high_water_mark)
end

local function start_connecting(self, opts)
  local given = self._handle
  self._handle = nil
  self.connecting = true
  take_settings(self, opts)
  self:_touch()
  self._connector = Connector.start(opts, given, function(err, handle)
    connected(self, err, handle)
  end, function(err, addresses, host)
    emit_lookup(self, err, addresses, host)
  end)
end

local function is_connected(self)
  return self._handle ~= nil and self._handle:getpeername() ~= nil
end

--- Connects, and returns at once; `connect` and `ready` follow, or `error`. One
--- that has ended may be connected again. The forms are (options), (port[,
--- host]) and (path), each with a listener of `connect` at the end; options:
--- port host path local_address local_port family hints lookup
--- auto_select_family auto_select_family_attempt_timeout no_delay keep_alive
--- keep_alive_initial_delay. (Node: socket.connect)
---@param ... any
---@return mw.Socket self
function Socket:connect(...)
  local opts, listener = arguments.connect(...)
  return self:_connect(opts, listener)
end

--- The same, with checked options.
---@param opts table
---@param listener? function
---@return mw.Socket self
function Socket:_connect(opts, listener)
  if self.connecting or is_connected(self) then
    local code = self.connecting and "EALREADY" or "EISCONN"
    tick.add(self.destroy, self, failure.at(code, "connect", opts.path or opts.host, opts.port))
    return self
  end
  if self.destroyed and not self.closed then
    return self:once("close", function()
      self:_connect(opts, listener)
    end)
  elseif self.destroyed then
    revive(self)
  end
  if listener then
    self:once("connect", listener)
  end
  start_connecting(self, opts)
  return self
end

function Socket:_touch()
  if self._idle then
    self._idle:touch()
  end
end

function Socket:_arrived(chunk)
  self.bytes_read = self.bytes_read + #chunk
  if self._idle then
    self._idle:touch()
  end
  return self:push(chunk)
end

local function no_connection()
  return errors.new("ERR_SOCKET_CLOSED", "ERR_SOCKET_CLOSED: the socket has no connection")
end

function Socket:_write(chunk, done)
  self._bytes_taken = self._bytes_taken + #chunk
  if self._handle then
    self:_touch()
    HandleStream._write(self, chunk, done)
  elseif self.connecting then
    self._late_write = { chunk = chunk, done = done }
  else
    done(no_connection())
  end
end

function Socket:_final(done)
  if self.connecting then
    self._late_final = done
  else
    HandleStream._final(self, done)
  end
end

-- The peer has ended, and so have we.
local function write_after_end(self, _, callback)
  local err = errors.new("EPIPE", "EPIPE: the peer has ended the connection", { syscall = "write" })
  if callback then
    tick.add(callback, err)
  end
  self:destroy(err)
  return false
end

-- The server it came from counts it no more.
local function leave_server(self)
  local server = self._server
  self._server = nil
  if server then
    server:_left()
  end
end

-- The peer has ended. What was not read stays readable; where there is nothing,
-- nobody needs to ask for the end. With both ends over the server is left.
local function source_over(self)
  if not self._ended then
    return
  elseif self._finish_emitted then
    tick.add(leave_server, self)
  end
  self:_end_unread()
end

--- Reads what comes, up to a buffer's worth, although nobody may ever ask for
--- it: so the peer's end is noticed. (Node: the same.)
function Socket:_await_end()
  if self._ended then
    return source_over(self)
  end
  self._on_source_end = source_over
  self:_read_ahead()
end

function Socket:_destroy_when_over()
  if self._end_emitted and not self.allow_half_open and not self._finishing then
    self:finish()
    self.write = write_after_end
  elseif self._finish_emitted and not self._end_emitted then
    self:_await_end()
  end
  HandleStream._destroy_when_over(self)
end

-- Who does not read gets the news that the peer went away by `close`, or by the
-- read that may follow.
function Socket:_error_is_taken()
  return HandleStream._error_is_taken(self) or self._read_failed and self:listener_count "data" == 0
end

function Socket:_destroy(done)
  stop_watching(self)
  self.connecting, self._late_write, self._late_final = nil, nil, nil
  if self._connector then
    self._connector:cancel()
    self._connector = nil
  end
  self:_close_handle(function()
    done()
    if self._server then
      tick.add(leave_server, self)
    end
  end, self._reset and "close_reset" or nil)
end

function Socket:_emit_close()
  self:emit("close", self.errored ~= nil)
end

--- Emits `timeout`, and does nothing else, whenever for so long nothing was
--- read or written; 0 ends this. (Node: socket.setTimeout)
---@param ms number milliseconds
---@param callback? fun() listens to `timeout` once; with 0, does so no more
---@return mw.Socket self
function Socket:set_timeout(ms, callback)
  options.argument("set_timeout", "ms", ms, options.size)
  options.optional("set_timeout", "callback", callback, options.callback)
  if self._idle then
    self._idle:close()
    self._idle = nil
  end
  self.timeout = ms
  if ms > 0 and not self.destroyed then
    self._idle = Idle.new(ms, function()
      self:_idled()
    end)
  end
  if callback then
    self[ms > 0 and "once" or "off"](self, "timeout", callback)
  end
  return self
end

-- A slow reader who takes some of what waits is not idle.
function Socket:_idled()
  local queued = self._handle and self._handle:get_write_queue_size() or 0
  local before = self._queued_before or self._bytes_taken -- all of it, at first
  self._queued_before = queued
  if queued > 0 and queued ~= before then
    return self._idle:touch()
  end
  self:emit "timeout"
end

--- Sends small writes at once, or collects them (TCP_NODELAY). Holds for the
--- connection to come too.
---@param enable? boolean true where absent
---@return mw.Socket self
function Socket:set_no_delay(enable)
  options.optional("set_no_delay", "enable", enable, options.boolean)
  self._no_delay = enable ~= false
  if self._handle and self._handle.nodelay then
    self._handle:nodelay(self._no_delay)
  end
  return self
end

--- Lets the system find out whether the peer is still there (SO_KEEPALIVE).
---@param enable? boolean false where absent
---@param initial_delay? number milliseconds, whole seconds of which count; the system's where it is 0
---@return mw.Socket self
function Socket:set_keep_alive(enable, initial_delay)
  options.optional("set_keep_alive", "enable", enable, options.boolean)
  options.optional("set_keep_alive", "initial_delay", initial_delay, options.size)
  take_settings(self, { keep_alive = enable or false, keep_alive_initial_delay = initial_delay })
  if self._handle and self._handle.keepalive then
    self._handle:keepalive(self._keep_alive, self._keep_alive_delay)
  end
  return self
end

--- Ends the socket once all is written.
function Socket:destroy_soon()
  if not self._finishing then
    self:finish()
  end
  if self._finish_emitted then
    self:destroy()
  else
    self:once("finish", function()
      self:destroy()
    end)
  end
end

--- Ends a TCP connection so that the peer gets ECONNRESET. One that is being
--- made is reset once it is there. (Node: socket.resetAndDestroy)
---@return mw.Socket self
function Socket:reset_and_destroy()
  if self.connecting then
    self._reset_is_due = true
  elseif not self._handle then
    self:destroy(no_connection())
  elseif not self._handle.close_reset then
    self:destroy(errors.new("ERR_INVALID_HANDLE_TYPE", "ERR_INVALID_HANDLE_TYPE: only TCP connections can be reset"))
  else
    self._reset = true
    self:destroy()
  end
  return self
end

--- Lets the socket keep the loop alive, as it does from the start.
---@return mw.Socket self
function Socket:ref()
  self._unreferenced = nil
  return HandleStream.ref(self)
end

--- Lets the loop end although the socket is open, or will be.
---@return mw.Socket self
function Socket:unref()
  self._unreferenced = true
  return HandleStream.unref(self)
end

--- Our side of the connection; an empty table where there is none.
---@return mw.Address|{}
function Socket:address()
  return self._handle and address.of(self._handle:getsockname()) or {}
end

--- What has to go with the connection to another process: the bytes that were
--- read from it and that nobody has had, and those that wait to be written.
---@return string unread
---@return string unwritten
function Socket:_bytes_under_way()
  local length = self._buffer.length
  local unread = length > 0 and self._buffer:peek(length) or ""
  if self._decode then
    local rest = self._decode(nil)
    self._decode(rest) -- keeps it again
    unread = unread .. rest
  end
  return unread, self:_unwritten()
end

--- Ends the socket, and leaves the connection open for another process: `close`
--- follows, and nobody is told of its bytes. Returns the handle, which is the
--- caller's to close, or, where that is not wanted, closes it: then somebody
--- must have a copy of its descriptor.
---@param with_handle boolean there must be nothing that waits to be written
---@return userdata?
function Socket:_give_away(with_handle)
  local handle = with_handle and self:_release_handle() or self:_close_handle()
  leave_server(self)
  self._buffer:clear()
  self:destroy()
  return handle
end

---@class mw.AdoptOptions
---@field unread? string what comes out first
---@field server? mw.Server that counts it
---@field pause? boolean whether a `data` listener is not to start it
---@field allow_half_open? boolean
---@field high_water_mark? integer

--- Makes a socket over a connection that is open. Nothing is read from it
--- before somebody wants it.
---@param handle userdata of luv, TCP or pipe; the socket's from then on
---@param opts? mw.AdoptOptions
---@return mw.Socket
function Socket.adopt(handle, opts)
  opts = opts or {}
  local self = new(opts)
  self._handle = handle
  if opts.unread and opts.unread ~= "" then
    self._buffer:push(opts.unread)
  end
  if opts.server then
    opts.server:_joined(self)
  end
  if opts.pause then
    self:pause()
  end
  return self
end

local function given_handle(opts)
  local handle, code
  if opts.fd then
    handle, code = native.open(opts.fd)
  elseif opts.handle then
    handle = native.of(opts.handle)
  end
  if (opts.fd or opts.handle) and not handle then
    return nil, failure.at(code or "EINVAL", "open")
  end
  return handle
end

--- Makes a socket: one to be connected, or one over a descriptor or handle that
--- is (`fd`, `handle`: the socket's from then on). What is neither TCP nor Unix
--- stream is an `error` with EINVAL. `timeout` is as of set_timeout(), `signal`
--- an abort token. (Node: new net.Socket)
---@param opts? table fd handle allow_half_open high_water_mark signal timeout
---@return mw.Socket
function Socket.new(opts)
  return Socket._new(arguments.socket(opts))
end

--- The same, with checked options.
function Socket._new(opts)
  local self = new(opts)
  local handle, err = given_handle(opts)
  self._handle = handle
  if err then
    self:destroy(err)
  end
  if opts.signal then
    watch_token(self, opts.signal)
  end
  if opts.timeout then
    self:set_timeout(opts.timeout)
  end
  return self
end

--- Prepares it as a server's options say.
function Socket:_set_up(opts)
  take_settings(self, opts)
  apply_settings(self)
end

function Socket:__tostring()
  local peer = self.remote_address
  return ("mw.net.socket (%s)"):format(peer and address.text(peer, self.remote_port) or self.ready_state)
end

return Socket
