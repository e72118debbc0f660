-- Addresses: numeric texts, and the tables that sockets tell them by.

local socket = require "mw.core.socket"

---@class mw.Address
---@field address string numeric
---@field family "IPv4"|"IPv6"
---@field port integer

local M = {}

--- 4 or 6 for a numeric address, "%scope" included; 0 for anything else.
--- (Node: net.isIP)
---@param text any
---@return 0|4|6
function M.is_ip(text)
  return type(text) == "string" and socket.family(text) or 0
end

---@param text any
---@return boolean
function M.is_ipv4(text)
  return M.is_ip(text) == 4
end

---@param text any
---@return boolean
function M.is_ipv6(text)
  return M.is_ip(text) == 6
end

local families = { inet = "IPv4", inet6 = "IPv6" }

--- Turns what luv tells into our table; nil where it tells nothing, or the
--- socket is none of TCP.
---@param name { ip: string, family: string, port: integer }|string|nil
---@return mw.Address?
function M.of(name)
  if type(name) == "table" then
    return { address = name.ip, family = families[name.family] or name.family, port = name.port }
  end
end

--- An address and a port, or a path, as messages name them.
---@param address string?
---@param port integer?
---@return string
function M.text(address, port)
  address = address and address:gsub("%z", "@")
  return port and ("%s:%d"):format(address, port) or address or ""
end

return M
