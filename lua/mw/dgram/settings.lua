-- What the kernel can be told about a socket: buffers, hop limits, broadcast,
-- multicast. Each method returns nil and an error where the kernel refuses
-- (EBADF where the socket is not bound), or the socket is closed.

local errors = require "mw.error"
local failure = require "mw.dgram.failure"
local look_up = require "mw.look_up"
local options = require "mw.options"
local uv = require "luv"

---@class mw.DgramSocket
local Settings = {}

local function apply(self, what, method, ...)
  local closed = failure.if_closed(self)
  if closed then
    return nil, closed
  end
  local handle = self._handle
  local ok, text, code = handle[method](handle, ...)
  if not ok then
    return nil, errors.from_luv(text, code, what)
  end
  return ok
end

-- The value that was set, or nil and why not.
local function set(self, what, method, value)
  local ok, err = apply(self, what, method, value)
  if not ok then
    return nil, err
  end
  return value
end

local function check_number(what, value, low, high)
  options.argument(what, "ttl", value, options.integer(low, high))
  return math.tointeger(value)
end

--- How many hops a datagram may take.
---@param ttl integer 1 to 255
---@return integer? ttl
---@return mw.Error? err
function Settings:set_ttl(ttl)
  return set(self, "set_ttl", "set_ttl", check_number("set_ttl", ttl, 1, 255))
end

--- The same for multicast; 1 where it was not set.
---@param ttl integer 0 to 255
---@return integer? ttl
---@return mw.Error? err
function Settings:set_multicast_ttl(ttl)
  return set(self, "set_multicast_ttl", "set_multicast_ttl", check_number("set_multicast_ttl", ttl, 0, 255))
end

--- Whether what is sent to a group comes back to this machine, as it does from
--- the start. Returns nil and an error on refusal, else true.
---@param flag boolean
---@return true? ok
---@return mw.Error? err
function Settings:set_multicast_loopback(flag)
  options.argument("set_multicast_loopback", "flag", flag, options.boolean)
  local ok, err = apply(self, "set_multicast_loopback", "set_multicast_loop", flag)
  return ok and true, err
end

--- Whether the socket may send to broadcast addresses.
---@param flag boolean
---@return true? ok
---@return mw.Error? err
function Settings:set_broadcast(flag)
  options.argument("set_broadcast", "flag", flag, options.boolean)
  local ok, err = apply(self, "set_broadcast", "set_broadcast", flag)
  return ok and true, err
end

--- The interface that multicast leaves by.
---@param address string its IPv4 address, or for IPv6 "::%eth0"
---@return true? ok
---@return mw.Error? err
function Settings:set_multicast_interface(address)
  options.argument("set_multicast_interface", "address", address, options.text)
  local ok, err = apply(self, "set_multicast_interface", "set_multicast_interface", address)
  return ok and true, err
end

-- A socket that joins a group before it is bound is bound by that, to any port.
local function change_membership(self, what, method, group, ...)
  if look_up.family(group) ~= self._family then
    return nil, failure.if_closed(self) or errors.system("EINVAL", what)
  end
  local ok, err = apply(self, what, method, group, ...)
  if ok and self._state == "unbound" then
    self:_start_bound()
  end
  return ok and true, err
end

local function check_group(what, group)
  failure.check(what, "group", group, options.name, "ERR_MISSING_ARGS")
end

--- Joins a multicast group.
---@param group string its address
---@param interface? string the address of an interface; the kernel chooses where absent
---@return true? ok
---@return mw.Error? err
function Settings:add_membership(group, interface)
  check_group("add_membership", group)
  options.optional("add_membership", "interface", interface, options.text)
  return change_membership(self, "add_membership", "set_membership", group, interface, "join")
end

--- Leaves a multicast group.
---@param group string
---@param interface? string
---@return true? ok
---@return mw.Error? err
function Settings:drop_membership(group, interface)
  check_group("drop_membership", group)
  options.optional("drop_membership", "interface", interface, options.text)
  return change_membership(self, "drop_membership", "set_membership", group, interface, "leave")
end

local function change_source(self, what, source, group, interface, change)
  options.argument(what, "source", source, options.name)
  options.argument(what, "group", group, options.name)
  options.optional(what, "interface", interface, options.text)
  return change_membership(self, what, "set_source_membership", group, interface, source, change)
end

--- Joins a group for what one source sends.
---@param source string its address
---@param group string
---@param interface? string
---@return true? ok
---@return mw.Error? err
function Settings:add_source_specific_membership(source, group, interface)
  return change_source(self, "add_source_specific_membership", source, group, interface, "join")
end

--- Leaves it.
---@param source string
---@param group string
---@param interface? string
---@return true? ok
---@return mw.Error? err
function Settings:drop_source_specific_membership(source, group, interface)
  return change_source(self, "drop_source_specific_membership", source, group, interface, "leave")
end

-- Gets it where `size` is absent.
local function buffer_size(self, what, size)
  local closed = failure.if_closed(self)
  if closed then
    return nil, closed
  end
  local value, text, code = uv[what](self._handle, size)
  if not value then
    local message = ("ERR_SOCKET_BUFFER_SIZE: can't get or set the size of a buffer, %s"):format(text)
    return nil, errors.new("ERR_SOCKET_BUFFER_SIZE", message, { cause = errors.from_luv(text, code, what) })
  end
  return size and true or value
end

local function set_buffer_size(self, what, size)
  local check = options.integer(1, 0x7fffffff)
  failure.check("set_" .. what, "size", size, check, "ERR_SOCKET_BAD_BUFFER_SIZE")
  return buffer_size(self, what, math.tointeger(size))
end

--- Sets the size of the kernel's buffer for what comes in; Linux doubles it.
---@param size integer bytes
---@return true? ok
---@return mw.Error? err ERR_SOCKET_BUFFER_SIZE; why is in `cause`
function Settings:set_recv_buffer_size(size)
  return set_buffer_size(self, "recv_buffer_size", size)
end

--- The same for what goes out.
---@param size integer bytes
---@return true? ok
---@return mw.Error? err
function Settings:set_send_buffer_size(size)
  return set_buffer_size(self, "send_buffer_size", size)
end

--- The size of the kernel's buffer for what comes in.
---@return integer? bytes
---@return mw.Error? err
function Settings:get_recv_buffer_size()
  return buffer_size(self, "recv_buffer_size")
end

--- The same for what goes out.
---@return integer? bytes
---@return mw.Error? err
function Settings:get_send_buffer_size()
  return buffer_size(self, "send_buffer_size")
end

--- The bytes of what the kernel has not taken yet.
---@return integer? bytes
---@return mw.Error? err
function Settings:get_send_queue_size()
  return apply(self, "get_send_queue_size", "get_send_queue_size")
end

--- How many datagrams the kernel has not taken yet.
---@return integer? count
---@return mw.Error? err
function Settings:get_send_queue_count()
  return apply(self, "get_send_queue_count", "get_send_queue_count")
end

return Settings
