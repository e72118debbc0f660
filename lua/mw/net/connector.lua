-- Brings one connection about: tries the addresses of a host, one after the
-- other, until one answers.

local address = require "mw.net.address"
local failure = require "mw.net.failure"
local look_up = require "mw.net.look_up"
local native = require "mw.net.native"
local socket = require "mw.core.socket"
local tick = require "mw.tick"
local timers = require "mw.timers"

---@class mw.Connector
local Connector = { __name = "mw.connector" }
Connector.__index = Connector

-- As Node: then the next address is tried.
local attempt_timeout = 250

-- The families in turn, beginning with that of the first: where one family
-- leads nowhere, not all of its addresses have to be tried first.
local function in_turn(addresses)
  local first, others, list = {}, {}, {}
  for _, entry in ipairs(addresses) do
    table.insert(entry.family == addresses[1].family and first or others, entry)
  end
  for index = 1, #addresses do
    list[#list + 1] = first[index]
    list[#list + 1] = others[index]
  end
  return list
end

local function stop_timer(self)
  timers.clear_timeout(self._timer)
  self._timer = nil
end

-- Gives up what is being tried.
local function drop_handle(self)
  stop_timer(self)
  local handle = self._handle
  self._handle = nil
  if handle and not handle:is_closing() then
    handle:close()
  end
end

local function settle(self, err, handle)
  self._handle = nil
  stop_timer(self)
  self._on_done(err, handle)
end

local try_next

local function failed(self, err)
  drop_handle(self)
  table.insert(self._errors, err)
  if self._index < #self._addresses then
    return try_next(self)
  end
  local first = self._errors[1]
  first.errors = #self._errors > 1 and self._errors or nil
  settle(self, first)
end

-- Binds our side where the options say so.
local function bind_local(self, handle, family)
  local opts = self._opts
  if not opts.local_address and not opts.local_port then
    return nil
  end
  local host = opts.local_address or (family == 6 and "::" or "0.0.0.0")
  local ok, text, code = handle:bind(host, opts.local_port or 0)
  return not ok and failure.from_luv(text, code, "bind", host, opts.local_port) or nil
end

local function limit_attempt(self, target)
  if self._index < #self._addresses then
    self._timer = timers.set_timeout(function()
      self._timer = nil
      failed(self, failure.at("ETIMEDOUT", "connect", target.address, self._opts.port))
    end, self._opts.auto_select_family_attempt_timeout or attempt_timeout)
  end
end

function try_next(self)
  self._index = self._index + 1
  local target, port = self._addresses[self._index], self._opts.port
  local handle = self._given or native.new "tcp"
  self._handle = handle
  local refused = bind_local(self, handle, target.family)
  if refused then
    return failed(self, refused)
  end
  local ok, text, code = handle:connect(target.address, port, function(err)
    if self._handle ~= handle then
      return -- given up
    elseif err then
      return failed(self, failure.from_luv(err, nil, "connect", target.address, port))
    end
    settle(self, nil, handle)
  end)
  if not ok then
    return failed(self, failure.from_luv(text, code, "connect", target.address, port))
  end
  limit_attempt(self, target)
end

-- Tells on_lookup what a name stands for, then tries that.
local function try_host(self, host)
  local opts = self._opts
  look_up.look_up(host, opts, function(err, addresses)
    if self._is_cancelled then
      return
    elseif address.is_ip(host) == 0 then
      self._on_lookup(err, addresses, host)
    end
    if self._is_cancelled then
      return -- by who was told
    elseif err ~= nil then
      return settle(self, err)
    end
    local is_one = self._given or opts.auto_select_family == false
    self._addresses = is_one and { addresses[1] } or in_turn(addresses)
    try_next(self)
  end)
end

-- A handle that exists already.
local function connect_given(self, path)
  self._handle = self._given
  self._given:connect(path, function(err)
    if not self._handle then
      return -- given up
    elseif err then
      drop_handle(self)
      return self._on_done(failure.from_luv(err, nil, "connect", path))
    end
    settle(self, nil, self._given)
  end)
end

local function answer_path(self, err, handle)
  if self._is_cancelled then
    return handle and handle:close()
  end
  settle(self, err, handle)
end

local function try_path(self, path)
  if self._given then
    return connect_given(self, path)
  end
  local fd, code = socket.connect_unix(path)
  local handle = fd and assert(native.open(fd))
  tick.add(answer_path, self, not handle and failure.at(code, "connect", path) or nil, handle)
end

--- Starts to connect. One of the addresses of a host has to answer; where all
--- fail, the error is that of the first, and has all of them as `errors`.
---@param opts table path, or port host family hints lookup local_address local_port auto_select_family
--- auto_select_family_attempt_timeout
---@param given? userdata a handle to connect, a new one for each address where absent
---@param on_done fun(err: any, handle: userdata?) called later, and once
---@param on_lookup fun(err: any, addresses: mw.HostAddress[]?, host: string) called before, for a name
---@return mw.Connector
function Connector.start(opts, given, on_done, on_lookup)
  local self = setmetatable({ _opts = opts, _given = given, _errors = {}, _index = 0 }, Connector)
  self._on_done, self._on_lookup = on_done, on_lookup
  if opts.path then
    try_path(self, opts.path)
  else
    try_host(self, opts.host or "localhost")
  end
  return self
end

--- Gives up; nobody is told anything any more.
function Connector:cancel()
  self._is_cancelled = true
  drop_handle(self)
end

return Connector
