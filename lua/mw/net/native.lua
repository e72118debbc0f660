-- The handles of luv below servers and sockets, from descriptors and from
-- objects.

local socket = require "mw.core.socket"
local uv = require "luv"

local M = {}

local makers = {
  tcp = uv.new_tcp,
  pipe = function()
    return uv.new_pipe(false)
  end,
}

--- Makes a handle that is not open yet.
---@param kind "tcp"|"pipe"
---@return userdata
function M.new(kind)
  return makers[kind]()
end

--- Whether a descriptor is TCP, a Unix stream socket or a pipe.
---@param fd integer
---@return boolean
function M.is_stream(fd)
  return makers[socket.kind(fd)] ~= nil
end

--- Makes a handle over a descriptor, which is the handle's from then on; where
--- this fails it stays the caller's.
---@param fd integer
---@return userdata? handle
---@return string? code EINVAL for what is neither TCP nor Unix stream
function M.open(fd)
  local make = makers[socket.kind(fd)]
  if not make then
    return nil, "EINVAL"
  end
  local handle = make()
  local ok, text, code = handle:open(fd)
  if not ok then
    handle:close()
    return nil, code or text:match "^%u[%u%d]+"
  end
  return handle
end

--- The open handle of an object: of luv, or one of ours that has one.
---@param object any
---@return userdata?
function M.of(object)
  local handle = object
  if type(object) == "table" then
    handle = object._handle
  end
  local kind = handle and handle.get_type and handle:get_type()
  return makers[kind] and not handle:is_closing() and handle or nil
end

return M
