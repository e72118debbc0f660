-- Servers and connections for specs, on ports that nobody else has.

local events = require "spec.support.events"
local eventually = require "spec.support.eventually"
local net = require "mw.net"

local M = {}

--- A server that listens on a free port of 127.0.0.1, unless `what` says
--- where.
---@param listener? fun(socket: mw.Socket)
---@param opts? table of create_server()
---@param what? table of listen()
---@return mw.Server
---@return integer|string place the port, or the path
function M.listen(listener, opts, what)
  local server = net.create_server(opts or {}, listener)
  server:listen(what or { port = 0, host = "127.0.0.1" })
  assert(server:wait("listening", 5000))
  local address = server:address()
  return server, address.port or address
end

--- A listener for connections that nobody looks at: reads them to their end.
---@param socket mw.Socket
function M.resume(socket)
  socket:resume()
end

--- Both ends of a connection, and the server between them. All end by
--- M.close().
---@param opts? table of create_server()
---@param connect_opts? table of net.connect(), without the port
---@return mw.Socket client
---@return mw.Socket accepted
---@return mw.Server server
function M.pair(opts, connect_opts)
  local accepted
  local server, port = M.listen(function(socket)
    accepted = socket
  end, opts)
  local all = { port = port, host = "127.0.0.1" }
  for key, value in pairs(connect_opts or {}) do
    all[key] = value
  end
  local client = net.connect(all)
  assert(client:wait("connect", 5000))
  eventually(function()
    return accepted
  end)
  return client, accepted, server
end

--- Ends sockets and servers, and waits for it.
---@param ... mw.Socket|mw.Server
function M.close(...)
  for _, object in ipairs { ... } do
    if object.destroy then
      object:destroy()
    else
      object:close()
    end
  end
  for _, object in ipairs { ... } do
    eventually(function()
      return object.closed or object.listening == false
    end)
  end
end

M.record, M.names = events.record, events.names

--- The error that an object emits.
---@param emitter mw.Emitter
---@return mw.Error
function M.failure(emitter)
  local err
  emitter:on("error", function(value)
    err = value
  end)
  assert(err == nil, "an error that came at once")
  return eventually(function()
    return err
  end)
end

return M
