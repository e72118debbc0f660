-- Clients that ask again and again, and count what they get: each request is
-- tried once.

local net = require "mw.net"
local mw = require "mw"

---@class spec.HttpLoad
---@field answered integer
---@field lost string[] what became of the others
---@field lost_to (string|false)[] for each of these, the last answer on the same connection
local HttpLoad = {}
HttpLoad.__index = HttpLoad

local function connect(port)
  local socket = net.connect { port = port, host = "127.0.0.1" }
  local ok, err = socket:wait("connect", 5000)
  if ok then
    return socket
  end
  socket:destroy()
  return nil, err
end

-- One answer with a Content-Length: its status and body, and whether the server
-- keeps the connection.
local function read_answer(socket)
  local text = ""
  while true do
    local head, body = text:match "^(.-\r\n\r\n)(.*)$"
    local length = head and tonumber(head:match "[Cc]ontent%-[Ll]ength: (%d+)")
    if length and #body >= length then
      return head:match "^HTTP/1.1 (%d+)", body, not head:find "[Cc]onnection: close"
    end
    local piece, err = socket:read()
    if not piece then
      return nil, err or ("the end after %d bytes"):format(#text)
    end
    text = text .. piece
  end
end

local function lose(self, what, connection)
  table.insert(self.lost, what)
  self.lost_to[#self.lost] = connection and connection.said or false
end

-- Asks once; returns the connection as long as it may be used again.
local function ask(self, connection, port)
  if not connection then
    local socket, err = connect(port)
    if not socket then
      return lose(self, "connect: " .. tostring(err))
    end
    connection = { socket = socket }
  end
  connection.socket:write(self._request)
  local status, body, keeps = read_answer(connection.socket)
  if status == "200" then
    self.answered, connection.said = self.answered + 1, body
  else
    lose(self, status or "read: " .. tostring(body), connection)
  end
  if status == "200" and keeps and self._keep_alive then
    return connection
  end
  connection.socket:destroy()
end

--- Begins to ask on a port.
---@param port integer
---@param opts { clients: integer, keep_alive: boolean, path: string? }
---@return spec.HttpLoad
function HttpLoad.start(port, opts)
  local self = setmetatable({ answered = 0, lost = {}, lost_to = {}, _tasks = {} }, HttpLoad)
  self._keep_alive = opts.keep_alive
  self._request = ("GET %s HTTP/1.1\r\nHost: x\r\n\r\n"):format(opts.path or "/")
  for number = 1, opts.clients do
    self._tasks[number] = mw.go(function()
      local connection
      while not self._is_over do
        connection = ask(self, connection, port)
      end
      if connection then
        connection.socket:destroy()
      end
    end)
  end
  return self
end

--- Stops asking, and waits for the last answers.
function HttpLoad:stop()
  self._is_over = true
  for _, task in ipairs(self._tasks) do
    task:join()
  end
end

return HttpLoad
