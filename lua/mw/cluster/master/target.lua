-- What a worker wants to listen on or to be bound to, as its message says it.

local M = {}

local function is_bytes(value)
  return type(value) == "string"
end

local function is_text(value)
  return is_bytes(value) and not value:find("\0", 1, true)
end

local function is_boolean(value)
  return type(value) == "boolean"
end

local function is_whole(value)
  return math.type(value) == "integer" and value >= 0 and value <= 0x7fffffff
end

local function is_port(value)
  return is_whole(value) and value <= 65535
end

local fields = {
  address = is_text,
  backlog = is_whole,
  directory = is_text,
  fd = is_whole,
  ipv6_only = is_boolean,
  path = is_bytes, -- abstract names have a NUL byte
  port = is_port,
  readable_all = is_boolean,
  reuse_address = is_boolean,
  type = is_text,
  writable_all = is_boolean,
}

local types = { udp4 = true, udp6 = true }

local function is_place(what)
  if what.type then
    return types[what.type] and (what.fd or what.port and what.address)
  end
  return what.port or what.path or what.fd
end

--- What it says, without what is no part of that; nil where it is nonsense.
---@param message table
---@return mw.ListenTarget|mw.DgramBinding|nil
---@return integer? number which of the worker's servers at this place
function M.of(message)
  local what = {}
  for name, is_sound in pairs(fields) do
    local value = message[name]
    if value ~= nil and not is_sound(value) then
      return nil
    end
    what[name] = value
  end
  if not is_place(what) or not is_whole(message.number) then
    return nil
  end
  what.backlog = what.backlog or 511
  return what, message.number
end

--- A name that workers that mean the same port have in common.
---@param what mw.ListenTarget|mw.DgramBinding
---@param number integer
---@return string
function M.name(what, number)
  local path = what.path
  if path and what.directory then
    path = what.directory .. "/" .. path
  end
  local parts = { number }
  for index, value in ipairs { what.type or "stream", what.fd or "-", what.port or "-", what.address or "-", path or "-" } do
    parts[index + 1] = tostring(value)
  end
  return table.concat(parts, " ")
end

return M
