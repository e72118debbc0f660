-- Servers, sockets and descriptors as they travel: what a message says of one,
-- and what is made of it on the other side. The names of the types, and those
-- of the fields that Node reads, are Node's.

local Descriptor = require "mw.ipc.descriptor"
local core = require "mw.core.fd"
local dgram = require "mw.dgram"
local net = require "mw.net"
local socket = require "mw.core.socket"
local uv = require "luv"

local M = {}

---@class mw.Parcel
---@field fd integer a descriptor of its own, which is the caller's
---@field fields table what the message says beside
---@field sent fun()? to be called once it is on its way: the sender's object ends
---@field socket mw.Socket? the socket that it is

---@class mw.HandleType
---@field pack fun(object: any, keep_open: boolean?): mw.Parcel?
---@field open fun(fd: integer, envelope: table): any

---@type table<string, mw.HandleType>
local types = {}

-- A parcel for an open descriptor; nil where there is none (any more).
local function parcel(fd, fields, sent)
  local copy = fd and core.dup(fd)
  return copy and { fd = copy, fields = fields or {}, sent = sent }
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
  local ok, bytes = pcall(string.gsub, text, utf8.charpattern, function(character)
    return string.char(utf8.codepoint(character))
  end)
  return ok and bytes or nil
end

local function set_bytes(fields, name, bytes)
  if bytes and bytes ~= "" then
    fields[name] = to_text(bytes)
  end
end

local function bytes_of(envelope, name)
  local text = envelope[name]
  return type(text) == "string" and to_bytes(text) or nil
end

types["net.Socket"] = {
  pack = function(object, keep_open)
    local made = parcel(fileno(object), { allowHalfOpen = object.allow_half_open or nil })
    if not made then
      return nil
    end
    made.socket = object
    if not keep_open then
      local unread, unwritten = object:_bytes_under_way()
      set_bytes(made.fields, "unread", unread)
      set_bytes(made.fields, "unwritten", unwritten)
      function made.sent()
        object:_give_away()
      end
    end
    return made
  end,
  open = function(fd, envelope)
    local handle = net._open_handle(fd)
    if not handle then
      return nil
    end
    local object = net.Socket.adopt(handle, {
      unread = bytes_of(envelope, "unread"),
      allow_half_open = envelope.allowHalfOpen == true,
    })
    local unwritten = bytes_of(envelope, "unwritten")
    if unwritten then
      object:write(unwritten)
    end
    return object
  end,
}

types["net.Server"] = {
  pack = function(object)
    return parcel(fileno(object))
  end,
  open = function(fd)
    local handle = net._open_handle(fd)
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
    return parcel(fileno(object), { dgramType = object.type })
  end,
  open = function(fd)
    return dgram._adopt_fd(fd)
  end,
}

types["dgram.Native"] = {
  pack = function(object)
    return parcel(object:fileno())
  end,
  open = function(fd)
    local handle = uv.new_udp()
    if handle:open(fd) then
      return handle
    end
    handle:close()
  end,
}

-- Any other descriptor: ours, not Node's.
types["mw.fd"] = {
  pack = function(object, keep_open)
    return parcel(object.fd, nil, not keep_open and function()
      object:close()
    end or nil)
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
---@param object any
---@return string?
function M.type_of(object)
  return type_of(object)
end

--- Takes a copy of its descriptor and all that has to go with it. Nil where
--- it has none: it is closed, or was sent before.
---@param object any of a type that can be sent
---@param keep_open boolean?
---@return mw.Parcel?
function M.pack(object, keep_open)
  local name = type_of(object)
  local made = types[name].pack(object, keep_open)
  if made then
    made.fields.type = name
  end
  return made
end

--- Makes the object that a message tells of. Nil where it cannot be made; then
--- the descriptor is closed.
---@param envelope table
---@param fd integer ours from then on
---@return any
function M.open(envelope, fd)
  local kind = types[envelope.type]
  local object = kind and socket.kind(fd) and kind.open(fd, envelope)
  if not object then
    core.close(fd)
  end
  return object or nil
end

return M
