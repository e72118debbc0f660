-- Servers, sockets and descriptors as they travel: what a message says of one,
-- and what is made of it on the other side. The names of the types, and those
-- of the fields that Node reads, are Node's.

local Descriptor = require "mw.ipc.descriptor"
local core = require "mw.core.fd"
local dgram = require "mw.dgram"
local net = require "mw.net"
local socket = require "mw.core.socket"
local socket_lists = require "mw.ipc.socket_lists"
local uv = require "luv"

local M = {}

---@class mw.Parcel what is on its way
---@field fd integer open until the parcel is dropped
---@field is_copy boolean? whether it is to be closed by its number
---@field holder userdata? the handle of luv that keeps it open, where it is no copy
---@field fields table what the message says beside
---@field unread string? bytes of a socket that nobody has had
---@field unwritten string? bytes that wait to be written to it
---@field server mw.Server? that counts the connection
---@field object any of the sender, where that is to end
---@field give (fun(parcel: mw.Parcel): userdata?)? ends it; returns its handle, where that is to be the holder

---@class mw.HandleType
---@field pack fun(object: any, keep_open: boolean?): mw.Parcel?, string?
---@field open fun(fd: integer, envelope: table): any

---@type table<string, mw.HandleType>
local types = {}

-- Of connections that wait. (Node: the same.)
local backlog = 511

-- A parcel for an open descriptor; nil where there is none (any more), nil and
-- the error's name where it can't be copied.
local function parcel(fd, object, give)
  if not fd then
    return nil
  end
  local copy, code = core.dup(fd)
  return copy and { fd = copy, is_copy = true, fields = {}, object = object, give = give }, code
end

local function fileno(object)
  return object._handle and object:fileno()
end

-- Bytes as text that JSON can carry, and back.
local function to_text(bytes)
  return (bytes:gsub("[\x80-\xFF]", function(byte)
    return utf8.char(byte:byte())
  end))
end

local function to_bytes(text)
  return (text:gsub(utf8.charpattern, function(character)
    return string.char(utf8.codepoint(character) & 0xFF)
  end))
end

local function udp_handle(fd)
  local handle = socket.kind(fd) == "udp" and uv.new_udp()
  if handle and handle:open(fd) then
    return handle
  elseif handle then
    handle:close()
  end
end

-- A socket that is given away needs no copy: its handle holds the connection
-- until the peer has it, unless it still has to write.
local function give_socket(made)
  return made.object:_give_away(not made.is_copy)
end

local function pack_to_give(object, fd)
  local unread, unwritten = object:_bytes_under_way()
  local made, code
  if unwritten == "" then
    made = { fd = fd, fields = {}, object = object, give = give_socket }
  else
    made, code = parcel(fd, object, give_socket)
  end
  if made then
    made.unread, made.unwritten = unread, unwritten
  end
  return made, code
end

types["net.Socket"] = {
  pack = function(object, keep_open)
    local fd = fileno(object)
    local made, code
    if fd and keep_open then
      made, code = parcel(fd)
    elseif fd then
      made, code = pack_to_give(object, fd)
    end
    if made then
      made.fields.allowHalfOpen = object.allow_half_open or nil
      made.server = object._server
    end
    return made, code
  end,
  open = function(fd, envelope)
    local handle = net._open_handle(fd)
    local object = handle and net.Socket.adopt(handle, envelope)
    if object and envelope.unwritten then
      object:write(envelope.unwritten)
    end
    return object
  end,
}

local function share_path(made)
  made.object:_share_path()
end

types["net.Server"] = {
  pack = function(object)
    return parcel(fileno(object), object, share_path)
  end,
  -- A peer may call anything a server; one that cannot listen would emit so,
  -- before anybody could hear it.
  open = function(fd)
    local handle = socket.listen(fd, backlog) and net._open_handle(fd)
    return handle and net.Server.adopt(handle)
  end,
}

types["net.Native"] = {
  pack = function(object)
    return parcel(object:fileno())
  end,
  open = net._open_handle,
}

types["dgram.Socket"] = {
  pack = function(object)
    local made, code = parcel(fileno(object))
    if made then
      made.fields.dgramType = object.type
    end
    return made, code
  end,
  open = function(fd)
    local handle = udp_handle(fd)
    return handle and dgram.Socket.adopt(handle)
  end,
}

types["dgram.Native"] = {
  pack = function(object)
    return parcel(object:fileno())
  end,
  open = udp_handle,
}

-- Any other descriptor: ours, not Node's.
local function close_descriptor(made)
  made.object:close()
end

types["mw.fd"] = {
  pack = function(object, keep_open)
    return parcel(object.fd, object, not keep_open and close_descriptor or nil)
  end,
  open = Descriptor.new,
}

local classes = {
  [net.Socket] = "net.Socket",
  [net.Server] = "net.Server",
  [dgram.Socket] = "dgram.Socket",
}

local native_types = { tcp = "net.Native", pipe = "net.Native", udp = "dgram.Native" }

local function type_of(object)
  if Descriptor.is(object) then
    return "mw.fd"
  elseif type(object) == "table" then
    return classes[getmetatable(object)]
  end
  local get_type = type(object) == "userdata" and getmetatable(object) and object.get_type
  return get_type and native_types[object:get_type()]
end

--- The type under which a value can be sent; nil for what cannot.
---@type fun(object: any): string?
M.type_of = type_of

-- Puts the bytes of a parcel into its fields.
local function add_bytes(made, as_text)
  for _, name in ipairs { "unread", "unwritten" } do
    local bytes = made[name]
    if bytes and bytes ~= "" then
      made.fields[name] = as_text and to_text(bytes) or bytes
    end
  end
end

--- Takes a copy of its descriptor and all that has to go with it. Nil where
--- it has none: it is closed, or was sent before; nil and the error's name (EMFILE)
--- where it can't be copied.
---@param object any of a type that can be sent
---@param keep_open boolean?
---@param channel mw.Channel that it is to be sent on
---@return mw.Parcel?
---@return string? code
function M.pack(object, keep_open, channel)
  local name = type_of(object)
  local made, code = types[name].pack(object, keep_open)
  if made then
    made.fields.type = name
    made.fields.key = made.server and M.lists_of(channel):send(made.server)
    add_bytes(made, channel.as_text)
  end
  return made, code
end

--- The message is on its way: the object is the sender's no more, unless it was
--- to be kept.
---@param made mw.Parcel
function M.give(made)
  made.holder = made.give and made:give()
end

--- Closes what held the connection: the peer has it, or never will.
---@param made mw.Parcel
function M.drop(made)
  if made.holder then
    made.holder:close()
  elseif made.is_copy then
    core.close(made.fd)
  end
end

-- What a peer has put there may be anything.
local function bytes_of(bytes, as_text)
  if type(bytes) ~= "string" or as_text and not utf8.len(bytes) then
    return nil
  end
  return as_text and to_bytes(bytes) or bytes
end

--- Takes note of a handle that has come, and leaves in the envelope nothing that
--- may not be there.
---@param envelope table
---@param channel mw.Channel that it has come on
function M.arrived(envelope, channel)
  envelope.unread = bytes_of(envelope.unread, channel.as_text)
  envelope.unwritten = bytes_of(envelope.unwritten, channel.as_text)
  envelope.allow_half_open = envelope.allowHalfOpen == true
  envelope.left = envelope.key and M.lists_of(channel):receive(envelope.key)
end

--- Makes the object of a handle that has arrived. Nil where it cannot be made,
--- or is not there.
---@param envelope table
---@param fd integer? the object's from then on
---@return any
function M.open(envelope, fd)
  local kind, left = types[envelope.type], envelope.left
  local object = fd and kind and kind.open(fd, envelope)
  if fd and not object then
    core.close(fd)
  end
  if left and object and object.once then
    object:once("close", left)
  elseif left then
    left()
  end
  return object or nil
end

--- Makes the object for a descriptor that has come without a type.
---@type fun(fd: integer?): mw.Descriptor?
M.open_descriptor = Descriptor.new

--- The counts of connections that went over a channel.
---@param channel mw.Channel
---@return mw.SocketLists
function M.lists_of(channel)
  channel.socket_lists = channel.socket_lists or socket_lists.new(channel)
  return channel.socket_lists
end

return M
