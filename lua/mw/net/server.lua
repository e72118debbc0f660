-- Servers of TCP and of Unix sockets.
-- (https://nodejs.org/api/net.html#class-netserver)

local Socket = require "mw.net.socket"
local address = require "mw.net.address"
local arguments = require "mw.net.arguments"
local close = require("mw.core.fd").close
local emitter = require "mw.emitter"
local errors = require "mw.error"
local failure = require "mw.net.failure"
local listener = require "mw.net.listener"
local look_up = require "mw.net.look_up"
local native = require "mw.net.native"
local providers = require "mw.providers"
local task = require "mw.task"
local tick = require "mw.tick"
local timers = require "mw.timers"

---@class mw.Server: mw.Emitter
---@field listening boolean
---@field max_connections integer? more are dropped; no limit where nil
local Server = emitter.class "mw.net.server"

---@class mw.SharedHandle a listening socket that another process keeps
---@field serve fun(self, server: mw.ConnectionTaker|userdata): any, string?, string? as luv's listen()
---@field getsockname fun(self): table|string as luv's
---@field fileno fun(self): integer? nil where there is no descriptor
---@field close fun(self)
---@field is_closing fun(self): boolean
---@field ref fun(self)
---@field unref fun(self)

---@class mw.ConnectionTaker what connections come to; a server of mw.core.http takes them without Lua
---@field room fun(): number how many more it takes
---@field open fun(): integer how many it has
---@field take fun(fd: integer) takes one, which is its own from then on

---@alias mw.ListenProvider fun(server: mw.Server, what: mw.ListenTarget, done: fun(err: mw.Error?, handle: any))

--- Replaces the way in which listen() comes by its handle: `fn(server, what,
--- done)` calls `done(err, handle)` once, at once or later; `err` may be the
--- kernel's name for it. The handle is bound or listens already; it is of luv, or
--- a mw.SharedHandle. One that comes after close() is closed. `exclusive`,
--- `reuse_port` and handles that the caller of listen() gave go past it.
---@param fn? mw.ListenProvider none where nil
function Server.set_listen_provider(fn)
  providers.listen = fn
end

--- Prepares a server of this class or of one that adds to it.
---@param opts table
function Server:_init(opts)
  self.listening, self._options = false, opts
  self._connections, self._shares, self._shares_open = 0, {}, 0
end

local function new(opts)
  local self = setmetatable({}, Server)
  self:_init(opts)
  return self
end

--- Makes a server. `fn` listens to `connection`. Options: allow_half_open
--- pause_on_connect no_delay keep_alive keep_alive_initial_delay
--- high_water_mark. (Node: net.createServer)
---@param opts? table
---@param fn? fun(socket: mw.Socket) runs as a task
---@return mw.Server
function Server.new(opts, fn)
  local checked, listens = arguments.server(opts, fn)
  local self = new(checked)
  if listens then
    self:on("connection", listens)
  end
  return self
end

-- The events whose listeners run as tasks.
Server._task_events = { connection = true }

--- Emits an event. A listener of `connection` is run as a task: it may wait.
---@param event any
---@param ... any
---@return boolean called
function Server:emit(event, ...)
  if not self._task_events[event] then
    return emitter.Emitter.emit(self, event, ...)
  end
  local listeners = self:_take_listeners(event)
  for _, fn in ipairs(listeners) do
    task.go(fn, ...)
  end
  return #listeners > 0
end

-- Connections ---------------------------------------------------------------

--- Counts one more.
---@param socket mw.Socket
function Server:_joined(socket)
  self._connections = self._connections + 1
  socket._server = self
end

--- How many connections are open here. Another kind of server may count in
--- its own way.
---@return integer
function Server:_count()
  return self._connections
end

local function emit_close_if_over(self)
  if self._close_is_due and self:_count() == 0 and self._shares_open == 0 then
    self._close_is_due = nil
    self:emit "close"
  end
end

--- To be called when the last connection has gone.
function Server:_close_if_over()
  if self._close_is_due then
    tick.add(emit_close_if_over, self)
  end
end

--- Counts one less.
function Server:_left()
  self._connections = self._connections - 1
  self:_close_if_over()
end

-- `close` waits for the connections that another process has.
local function wait_for_share(self, share)
  self._shares_open = self._shares_open + 1
  share:when_empty(function()
    self._shares_open = self._shares_open - 1
    tick.add(emit_close_if_over, self)
  end)
end

---@class mw.ServerShare connections of a server that another process has
---@field count fun(self: mw.ServerShare, done: fun(count: integer))
---@field when_empty fun(self: mw.ServerShare, done: fun())

--- Goes on counting what is handed to another process.
---@param share mw.ServerShare the same for all that go there
function Server:_share(share)
  self._shares[share] = true
  if self._close_is_due then
    wait_for_share(self, share)
  end
end

--- Another process listens too: the path is not ours alone.
function Server:_share_path()
  self._is_shared = true
end

--- That process is gone.
---@param share mw.ServerShare
function Server:_unshare(share)
  self._shares[share] = nil
end

-- Who it was, for the event `drop`.
local function both_ends(handle)
  local here = address.of(handle:getsockname()) or {}
  local there = address.of(handle:getpeername()) or {}
  return {
    local_address = here.address,
    local_port = here.port,
    local_family = here.family,
    remote_address = there.address,
    remote_port = there.port,
    remote_family = there.family,
  }
end

--- Takes a connection that is open: emits `connection`, or, where there are
--- `max_connections` already, `drop`, and closes it. Returns whether it was
--- taken.
---@param handle userdata of luv
---@param unread? string
---@return boolean
function Server:_take(handle, unread)
  if self.max_connections and self._connections >= self.max_connections then
    local dropped = both_ends(handle)
    handle:close()
    self:emit("drop", dropped)
    return false
  end
  local opts = self._options
  local socket = Socket.adopt(handle, {
    unread = unread,
    server = self,
    pause = opts.pause_on_connect,
    allow_half_open = opts.allow_half_open,
    high_water_mark = opts.high_water_mark,
  })
  socket:_set_up(opts)
  self:emit("connection", socket)
  if not opts.pause_on_connect then
    socket:_await_end()
  end
  return true
end

-- Where there is no descriptor left, libuv has dropped the connection already,
-- by a spare one; the server goes on.
local function on_connection(self, err)
  local handle = self._handle
  if err then
    self:emit("drop", { error = failure.from_luv(err, nil, "accept") })
  elseif handle then
    local client = native.new(handle:get_type())
    if handle:accept(client) then
      self:_take(client)
    else
      client:close()
    end
  end
end

-- Listening -----------------------------------------------------------------

local function fail_later(self, err)
  tick.add(self.emit, self, "error", err)
end

local function emit_listening(self, handle)
  if self._handle == handle then
    self:emit "listening"
  end
end

local function take_descriptor(self, fd)
  local handle = native.open(fd)
  if handle then
    self:_take(handle)
  else
    close(fd)
  end
end

local function taker(self)
  return {
    room = function()
      return self.max_connections and self.max_connections - self._connections or math.huge
    end,
    open = function()
      return self._connections
    end,
    take = function(fd)
      take_descriptor(self, fd)
    end,
  }
end

--- Lets connections come from a handle that is bound. Another kind of server
--- may take them in its own way.
---@param handle userdata|mw.SharedHandle
---@param backlog integer
---@return any ok
---@return string? text
---@return string? code as luv returns them
function Server:_start_accepting(handle, backlog)
  if handle.serve then
    return handle:serve(taker(self))
  end
  return handle:listen(backlog, function(err)
    on_connection(self, err)
  end)
end

--- What such a server has to undo.
function Server:_stop_accepting() end

-- A handle that listened before may hold a connection that nobody has taken.
local function take_waiting(self, handle)
  local client = type(handle) == "userdata" and native.new(handle:get_type())
  if client and handle:accept(client) then
    timers.set_immediate(self._take, self, client)
  elseif client then
    client:close()
  end
end

local function begin(self, what, handle)
  if what.handle then
    take_waiting(self, handle)
  end
  local ok, text, code = self:_start_accepting(handle, what.backlog)
  if not ok then
    if not what.handle then
      listener.close(handle)
    end
    local place = what.path or what.address or what.port and "::"
    return fail_later(self, failure.from_luv(text, code, "listen", place, what.port))
  end
  self._handle, self._path, self.listening = handle, what.path, true
  if self._unreferenced then
    handle:unref()
  end
  tick.add(emit_listening, self, handle)
end

-- Whether the answer for an attempt to listen still counts.
local function is_current(self, attempt)
  return self._attempt == attempt
end

local function asks_provider(what)
  return providers.listen and not what.exclusive and not what.reuse_port and not what.handle
end

local function open(self, what, attempt)
  local function done(err, handle)
    if not is_current(self, attempt) then
      return handle and not what.handle and listener.close(handle)
    end
    self._attempt = nil
    if type(err) == "string" then
      err = failure.at(err, "listen", what.path or what.address, what.port)
    end
    if err then
      return fail_later(self, err)
    end
    begin(self, what, handle)
  end
  if asks_provider(what) then
    providers.listen(self, what, done)
  else
    local handle, err = listener.bind(what)
    done(err, handle)
  end
end

local function look_up_and_open(self, what, host, attempt)
  look_up.look_up(host, {}, function(err, addresses)
    if not is_current(self, attempt) then
      return
    elseif err then
      self._attempt = nil
      self:emit("error", err)
      return
    end
    what.address = addresses[1].address
    open(self, what, attempt)
  end)
end

local function start(self, what)
  local attempt = {}
  self._attempt = attempt
  local host = what.host
  what.host = nil
  if host and not what.handle and not what.fd and not what.path then
    if address.is_ip(host) == 0 then
      return look_up_and_open(self, what, host, attempt)
    end
    what.address = host
  end
  open(self, what, attempt)
end

local function close_by(self, token)
  local function abort()
    self:close()
  end
  if token.aborted then
    tick.add(abort)
  else
    token:once("abort", abort)
    self:once("close", function()
      token:off("abort", abort)
    end)
  end
end

--- Listens, and returns at once: `listening` follows, or `error`. The forms are
--- ([port][, host][, backlog]), (path[, backlog]), (handle[, backlog]) and
--- (options), each with a listener of `listening` at the end. Options: port
--- host path fd handle backlog (511) exclusive reuse_port ipv6_only
--- readable_all writable_all signal. Without a host it is `::`, IPv4 included,
--- and 0.0.0.0 where there is no IPv6; port 0 takes a free one. A path that
--- begins with a NUL byte is an abstract name. A descriptor or handle that was
--- given is the server's from then on. (Node: server.listen)
---@param ... any
---@return mw.Server self
function Server:listen(...)
  local what, fn = arguments.listen(...)
  if self._handle or self._attempt then
    errors.misuse "listen: the server listens already (ERR_SERVER_ALREADY_LISTEN)"
  end
  if fn then
    self:once("listening", fn)
  end
  if what.signal then
    close_by(self, what.signal)
    what.signal = nil
  end
  start(self, what)
  return self
end

--- Makes a server over a handle that listens already. Its connections come in
--- the next turns of the loop, to the listeners that there are then.
---@param handle userdata of luv
---@param opts? table as of create_server()
---@return mw.Server
function Server.adopt(handle, opts)
  local self = new(opts or {})
  begin(self, { handle = handle, backlog = 511 }, handle)
  return self
end

--- Where it listens; the path of a Unix socket, nil where it does not.
---@return mw.Address|string|nil
function Server:address()
  local handle = self._handle
  if not handle then
    return nil
  end
  local name = handle:getsockname()
  return address.of(name) or self._path or name
end

local function stop_listening(self)
  local handle = self._handle
  self._handle, self._attempt, self.listening = nil, nil, false
  if handle then
    self:_stop_accepting()
  end
  if handle and not handle:is_closing() then
    listener.close(handle, self._is_shared)
  end
  self._is_shared = nil
  return handle ~= nil
end

local function not_running()
  return errors.new("ERR_SERVER_NOT_RUNNING", "ERR_SERVER_NOT_RUNNING: the server does not listen")
end

--- Takes no more connections. `close` follows once those that there are have
--- ended; the path that listen() made is removed at once, or at the exit where the
--- server was sent to another process. (Node: server.close)
---@param callback? fun(err: any) listens to `close`; gets ERR_SERVER_NOT_RUNNING where it did not listen
---@return mw.Server self
function Server:close(callback)
  local is_running = self._attempt ~= nil
  is_running = stop_listening(self) or is_running
  if callback then
    self:once("close", function()
      callback(not is_running and not_running() or nil)
    end)
  end
  self._close_is_due = true
  for share in pairs(self._shares) do
    wait_for_share(self, share)
  end
  tick.add(emit_close_if_over, self)
  return self
end

local function count_all(self, done)
  local total, left = self:_count(), 1
  local function add(count)
    total, left = total + count, left - 1
    if left == 0 then
      done(total)
    end
  end
  for share in pairs(self._shares) do
    left = left + 1
    share:count(add)
  end
  add(0)
end

--- How many connections are open, those that were handed to other processes
--- included. (Node: server.getConnections)
---@param callback? fun(err: any, count: integer) waits where absent
---@return integer count
function Server:get_connections(callback)
  return task.answer("the number of connections", callback, function(done)
    count_all(self, function(count)
      tick.add(done, nil, count)
    end)
  end)
end

--- Lets the server keep the loop alive, as it does from the start.
---@return mw.Server self
function Server:ref()
  self._unreferenced = nil
  if self._handle then
    self._handle:ref()
  end
  return self
end

--- Lets the loop end although it listens, or will.
---@return mw.Server self
function Server:unref()
  self._unreferenced = true
  if self._handle then
    self._handle:unref()
  end
  return self
end

--- The descriptor; nil where it does not listen.
---@return integer?
function Server:fileno()
  return self._handle and self._handle.fileno and self._handle:fileno()
end

Server.__close = function(self)
  self:close()
end

return Server
