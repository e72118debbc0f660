-- A file descriptor as an object: to send one, and what an arrived one is that
-- has no type of its own.

local core = require "mw.core.fd"
local handle_stream = require "mw.stream.handle"
local net = require "mw.net"
local socket = require "mw.core.socket"
local uv = require "luv"

---@class mw.Descriptor
---@field fd integer? the number; nil once it is closed, sent or a stream's
---@field kind string "tcp" "udp" "pipe" "unix_dgram" "tty" "file" "directory" …
---@field stream mw.HandleStream? over the descriptor, made when it is first asked for and its owner from then on; nil
--- for what is no stream
local Descriptor = { __name = "mw.fd" }

local readable_modes, writable_modes = { [0] = true, [2] = true }, { [1] = true, [2] = true }

local function pipe_stream(fd)
  local mode = core.access_mode(fd)
  local pipe = uv.new_pipe(false)
  assert(pipe:open(fd))
  return handle_stream.new(pipe, { readable = readable_modes[mode], writable = writable_modes[mode] })
end

local function terminal_stream(fd)
  local mode = core.access_mode(fd)
  local tty = assert(uv.new_tty(fd, readable_modes[mode] or false))
  return handle_stream.new(tty, { readable = readable_modes[mode], writable = writable_modes[mode] })
end

local stream_makers = { tty = terminal_stream }

function stream_makers.tcp(fd)
  return net.Socket.new { fd = fd }
end

function stream_makers.pipe(fd)
  return core.kind(fd) == "socket" and net.Socket.new { fd = fd } or pipe_stream(fd)
end

local function make_stream(self)
  local make = self.fd and stream_makers[self.kind]
  if not make then
    return nil
  end
  local is_open, listening = socket.kind(self.fd)
  local stream = is_open and not listening and make(self.fd) or nil
  if stream then
    self.fd, self.stream = nil, stream
  end
  return stream
end

function Descriptor:__index(key)
  if key == "stream" then
    return make_stream(self)
  end
  return Descriptor[key]
end

--- Makes the object for an open descriptor; nil and the error's name (EBADF)
--- for one that is not open.
---@param fd integer
---@return mw.Descriptor?
---@return string? code
function Descriptor.new(fd)
  local kind, code = socket.kind(fd)
  if not kind then
    return nil, code
  end
  return setmetatable({ fd = fd, kind = kind }, Descriptor)
end

--- Whether a value is such an object.
---@param value any
---@return boolean
function Descriptor.is(value)
  return getmetatable(value) == Descriptor
end

--- Closes the descriptor. Harmless where it is closed, sent or a stream's.
function Descriptor:close()
  local fd = self.fd
  self.fd = nil
  if fd then
    core.close(fd)
  end
end

Descriptor.__close = Descriptor.close

function Descriptor:__tostring()
  return ("mw.fd (%s)"):format(self.fd and ("%d, %s"):format(self.fd, self.kind) or "closed")
end

return Descriptor
