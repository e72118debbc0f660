-- Handles that listen: what listen() was asked for, turned into a handle that
-- is bound.

local close = require("mw.core.fd").close
local exit = require "mw.exit"
local failure = require "mw.net.failure"
local native = require "mw.net.native"
local socket = require "mw.core.socket"
local uv = require "luv"

---@class mw.ListenTarget
---@field handle? any a handle of luv, or an object that has one
---@field fd? integer
---@field path? string
---@field directory? string what a relative path is relative to; our own where absent
---@field address? string numeric
---@field port? integer
---@field backlog integer
---@field exclusive? boolean
---@field reuse_port? boolean
---@field ipv6_only? boolean
---@field readable_all? boolean
---@field writable_all? boolean

local M = {}

-- Longer ones libuv would cut off, and bind another path.
local longest_path = 107

-- Codes that say there is no IPv6 here, and nothing about the port.
local no_ipv6 = { EAFNOSUPPORT = true, EADDRNOTAVAIL = true, EINVAL = true, EPROTONOSUPPORT = true }

local function bind_port(what)
  local address = what.address or "::"
  local fd, code = socket.bind("tcp", address, what.port, what)
  if not fd and not what.address and no_ipv6[code] then
    address = "0.0.0.0"
    fd, code = socket.bind("tcp", address, what.port, what)
  end
  if not fd then
    return nil, failure.at(code, "listen", address, what.port)
  end
  return assert(native.open(fd))
end

local function bind_abstract(what)
  local fd, code = socket.bind_unix(what.path)
  if not fd then
    return nil, failure.at(code, "listen", what.path)
  elseif what.readable_all or what.writable_all then
    close(fd)
    return nil, failure.at("EINVAL", "chmod", what.path) -- it has no mode
  end
  return assert(native.open(fd))
end

-- The paths that were made here, by handle, and those that were left to other
-- processes. What is left behind could not be listened to by the next process:
-- all go at the exit.
local made = setmetatable({}, { __mode = "k" })
local left = {}

exit.add_flusher(function()
  for _, path in pairs(made) do
    left[path] = true
  end
  for path in pairs(left) do
    uv.fs_unlink(path)
  end
end)

--- Closes a handle that bind() has made, and removes its path.
---@param handle any
---@param leaves_path? boolean it stays until the exit: other processes listen there
function M.close(handle, leaves_path)
  local path = made[handle]
  made[handle] = nil
  if path and leaves_path then
    left[path] = true
  elseif path then
    uv.fs_unlink(path)
  end
  handle:close()
end

--- The path that was made for a handle; nil where none was.
---@param handle userdata
---@return string?
function M.path_of(handle)
  return made[handle]
end

--- Makes a handle of what an earlier image of this process has bound.
---@param fd integer
---@param path? string that was made for it
---@return userdata handle
function M.adopt(fd, path)
  local handle = assert(native.open(fd))
  made[handle] = path
  return handle
end

-- By its path: a socket knows the name that it was bound by, which may be
-- another. Everybody may do what its owner gets in addition.
local function set_mode(handle, what)
  local more = (what.readable_all and 292 or 0) | (what.writable_all and 146 or 0) -- 0444, 0222
  if more == 0 then
    return handle
  end
  local path = made[handle]
  local stat, text, code = uv.fs_stat(path)
  local ok = stat
  if stat then
    ok, text, code = uv.fs_chmod(path, stat.mode & 511 | more)
  end
  if not ok then
    M.close(handle)
    return nil, failure.from_luv(text, code, "chmod", what.path)
  end
  return handle
end

-- The directory may be longer than a name can be: it gets a short one.
local function bind_in_directory(what)
  local directory, _, code = uv.fs_open(what.directory, "r", 0)
  if not directory then
    return nil, code
  end
  local fd
  fd, code = socket.bind_unix(("/proc/self/fd/%d/%s"):format(directory, what.path))
  close(directory)
  return fd, code
end

-- Not by libuv, which would unlink the path whoever else listens there. For a
-- folder that is not there the code is that of libuv.
local function bind_path(what)
  if #what.path > longest_path then
    return nil, failure.at("ENAMETOOLONG", "listen", what.path)
  elseif what.path:byte(1) == 0 then
    return bind_abstract(what)
  end
  local bind = what.directory and bind_in_directory or function()
    return socket.bind_unix(what.path)
  end
  local fd, code = bind(what)
  if not fd then
    return nil, failure.at(code == "ENOENT" and "EACCES" or code, "listen", what.path)
  end
  local handle = assert(native.open(fd))
  local path = what.directory and what.directory .. "/" .. what.path or what.path
  made[handle], left[path] = path, nil
  return set_mode(handle, what)
end

-- It is asked to listen before it is anybody's: what can't, stays as it is.
local function open_descriptor(what)
  if not native.is_stream(what.fd) then
    return nil, failure.at("EINVAL", "listen")
  end
  local listens, code = socket.listen(what.fd, what.backlog)
  local handle
  if listens then
    handle, code = native.open(what.fd)
  end
  if not handle then
    return nil, failure.at(code, "listen")
  end
  return handle
end

--- Makes the handle; it does not listen yet. What was lent, a descriptor or a
--- handle, stays as it was where this fails.
---@param what mw.ListenTarget
---@return userdata? handle
---@return mw.Error? err
function M.bind(what)
  if what.handle then
    local handle = native.of(what.handle)
    if not handle then
      return nil, failure.at("EINVAL", "listen")
    end
    return handle
  elseif what.fd then
    return open_descriptor(what)
  elseif what.path then
    return bind_path(what)
  end
  return bind_port(what)
end

return M
