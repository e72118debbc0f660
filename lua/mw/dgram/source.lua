-- Where bound handles come from: the kernel, a descriptor that is bound already,
-- or a provider, which a subsystem above puts in.

local core = require "mw.core.socket"
local errors = require "mw.error"
local failure = require "mw.dgram.failure"
local providers = require "mw.providers"
local uv = require "luv"

---@class mw.DgramBinding what a socket is to be bound to
---@field type "udp4"|"udp6"
---@field address string numeric; not beside `fd`
---@field port integer
---@field fd integer? a descriptor that is bound already
---@field exclusive boolean whether no provider is to be asked
---@field ipv6_only boolean
---@field reuse_address boolean
---@field reuse_port boolean

local M = {}

---@alias mw.DgramBindDone fun(err: string|mw.Error|nil, handle: userdata?)
---@alias mw.DgramBindProvider fun(socket: mw.DgramSocket, what: mw.DgramBinding, done: mw.DgramBindDone)

--- Puts in who gives sockets their handles: a cluster's workers get theirs from
--- the master. It calls `done(err)` or `done(nil, handle)`, once, now or later,
--- with a bound luv handle that is the socket's from then on. `err` is an error
--- object, or the kernel's name of one, which the socket words. It is not asked
--- for sockets that are `exclusive`.
---@param fn? mw.DgramBindProvider nil takes it out
function M.set_provider(fn)
  providers.bind = fn
end

--- Whether a provider is to be asked.
---@param what mw.DgramBinding
---@return boolean
function M.is_provided(what)
  return providers.bind ~= nil and not what.exclusive
end

-- libuv only knows of those that it waits for.
local function is_taken(fd)
  local taken = false
  uv.walk(function(handle)
    taken = taken or not handle:is_closing() and handle:fileno() == fd
  end)
  return taken
end

--- Takes over a descriptor. Raises where it is no UDP socket, or another handle
--- has it.
---@param handle userdata
---@param fd integer
function M.open(handle, fd)
  local kind = core.kind(fd)
  if kind ~= "udp" then
    failure.misuse("bind", ("descriptor %d is no UDP socket but %s"):format(fd, kind or "closed"), "ERR_INVALID_FD_TYPE")
  elseif is_taken(fd) then
    failure.misuse("bind", ("descriptor %d belongs to another handle"):format(fd), "EEXIST")
  end
  local ok, text, code = handle:open(fd)
  if not ok then
    failure.misuse("bind", ("can't take over descriptor %d, %s"):format(fd, text), code)
  end
end

-- libuv 1.44 can't share a port.
local function bind_sharing(handle, what)
  local fd, refusal = core.bind("udp", what.address, what.port, what)
  if not fd then
    return refusal
  end
  local ok, _, code = handle:open(fd)
  if not ok then
    uv.fs_close(fd)
    return code
  end
end

local function bind(handle, what)
  if what.reuse_port then
    return bind_sharing(handle, what)
  end
  local flags = { reuseaddr = what.reuse_address, ipv6only = what.ipv6_only }
  local ok, _, code = handle:bind(what.address, what.port, flags)
  return not ok and code or nil
end

local function word(err, what)
  if type(err) ~= "string" then
    return err
  elseif what.fd then
    return errors.system(err, "open")
  end
  return failure.at(err, "bind", what.address, what.port)
end

--- Binds a handle for somebody else.
---@param what mw.DgramBinding
---@return userdata? handle
---@return string? code
function M.bind(what)
  local handle = uv.new_udp()
  local code
  if not what.fd then
    code = bind(handle, what)
  elseif core.kind(what.fd) ~= "udp" then
    code = "EINVAL"
  else
    local ok, _, refusal = handle:open(what.fd)
    code = not ok and refusal or nil
  end
  if not code then
    return handle
  end
  handle:close()
  return nil, code
end

--- Binds a socket's handle, or gets another for it.
---@param socket mw.DgramSocket
---@param what mw.DgramBinding
---@param done fun(err: mw.Error?, handle: userdata?)
function M.obtain(socket, what, done)
  if M.is_provided(what) then
    return providers.bind(socket, what, function(err, handle)
      done(word(err, what), handle)
    end)
  end
  done(word(bind(socket._handle, what), what), socket._handle)
end

return M
