-- Sockets on the loopback interface.

local dgram = require "mw.dgram"

local M = {}

local loopback = { udp4 = "127.0.0.1", udp6 = "::1" }

--- A socket that is bound to a free port of the loopback interface.
---@param opts? "udp4"|"udp6"|table "udp4" where absent
---@param listener? function of the event `message`
---@return mw.DgramSocket
function M.bound(opts, listener)
  local socket = dgram.create_socket(opts or "udp4", listener)
  socket:bind(0, loopback[socket.type])
  assert(socket:wait("listening", 5000))
  return socket
end

---@param socket mw.DgramSocket
---@return integer
function M.port(socket)
  return assert(socket:address()).port
end

--- Closes sockets, and waits for the events.
---@param ... mw.DgramSocket
function M.close(...)
  for _, socket in ipairs { ... } do
    if not socket.destroyed then
      socket:close()
      assert(socket:wait("close", 5000))
    end
  end
end

--- The messages that come to a socket from now on, as they come.
---@param socket mw.DgramSocket
---@return string[]
function M.collect(socket)
  local messages = {}
  socket:on("message", function(message)
    messages[#messages + 1] = message
  end)
  return messages
end

--- Whether the loopback interface has an IPv6 address.
---@return boolean
function M.has_ipv6()
  local socket = dgram.create_socket "udp6"
  socket:bind(0, "::1")
  local ok = socket:wait("listening", 5000)
  M.close(socket)
  return ok ~= nil
end

return M
