-- HTTP servers for specs, and clients that send just the bytes they are given.

local http = require "mw.http"
local net = require "mw.net"

local M = {}

--- A server on a free port of 127.0.0.1.
---@param handler fun(req: mw.HttpRequest, res: mw.HttpResponse)
---@param opts? table of create_server()
---@return mw.HttpServer
---@return integer port
function M.serve(handler, opts)
  local server = http.create_server(opts or {}, handler)
  server:listen(0, "127.0.0.1")
  assert(server:wait("listening", 5000))
  return server, server:address().port
end

---@param port integer
---@return mw.Socket
function M.connect(port)
  local socket = net.connect { port = port, host = "127.0.0.1", allow_half_open = true }
  assert(socket:wait("connect", 5000))
  return socket
end

--- Reads until the pattern has come, or the end; returns all that came.
---@param socket mw.Socket
---@param pattern? string to the end where absent
---@return string
---@return boolean found
function M.read_until(socket, pattern)
  local text = ""
  while not (pattern and text:find(pattern)) do
    local piece, err = socket:read()
    if not piece then
      return text, false, err
    end
    text = text .. piece
  end
  return text, true
end

--- Sends bytes on a connection of their own and returns what comes until the
--- server ends it; the error where it does not end in order.
---@param port integer
---@param bytes string
---@return string
---@return mw.Error? err
function M.send(port, bytes)
  local socket = M.connect(port)
  socket:write(bytes)
  local text, _, err = M.read_until(socket)
  socket:destroy()
  return text, err
end

--- A request that asks for the end of the connection.
---@param port integer
---@param line? string "GET /"
---@param headers? string lines
---@param body? string
---@return string response
---@return mw.Error? err
function M.request(port, line, headers, body)
  return M.send(port, ("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s"):format(line or "GET /", headers or "",
    body or ""))
end

--- The body of a response.
---@param response string
---@return string?
function M.body_of(response)
  return response:match "\r\n\r\n(.*)$"
end

--- The statuses in what came, one for each response.
---@param text string
---@return string "200 200 400"
function M.statuses(text)
  local list = {}
  for status in text:gmatch "HTTP/1%.1 (%d%d%d)" do
    list[#list + 1] = status
  end
  return table.concat(list, " ")
end

--- Ends servers and waits for it.
---@param ... mw.HttpServer
function M.close(...)
  for _, server in ipairs { ... } do
    server:close()
    server:close_all_connections()
    assert(server:wait("close", 5000))
  end
end

return M
