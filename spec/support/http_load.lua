-- Clients that ask again and again, and count what they get: each request is
-- tried once.

local net = require "mw.net"
local mw = require "mw"

---@class spec.HttpLoad
---@field answered integer
---@field lost string[] what became of the others
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

-- One answer with a Content-Length; whether the server keeps the connection.
local function read_answer(socket)
  local text = ""
  while true do
    local head, body = text:match "^(.-\r\n\r\n)(.*)$"
    local length = head and tonumber(head:match "[Cc]ontent%-[Ll]ength: (%d+)")
    if length and #body >= length then
      return head:match "^HTTP/1.1 (%d+)", not head:find "[Cc]onnection: close"
    end
    local piece, err = socket:read()
    if not piece then
      return nil, err or ("the end after %d bytes"):format(#text)
    end
    text = text .. piece
  end
end

-- Asks once; returns the connection as long as it may be used again.
local function ask(self, socket, port)
  local err
  if not socket then
    socket, err = connect(port)
    if not socket then
      table.insert(self.lost, "connect: " .. tostring(err))
      return nil
    end
  end
  socket:write "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
  local status, keeps = read_answer(socket)
  if status == "200" then
    self.answered = self.answered + 1
  else
    table.insert(self.lost, status or "read: " .. tostring(keeps))
    keeps = false
  end
  if keeps and self._keep_alive then
    return socket
  end
  socket:destroy()
end

--- Begins to ask on a port.
---@param port integer
---@param opts { clients: integer, keep_alive: boolean }
---@return spec.HttpLoad
function HttpLoad.start(port, opts)
  local self = setmetatable({ answered = 0, lost = {}, _keep_alive = opts.keep_alive, _tasks = {} }, HttpLoad)
  for number = 1, opts.clients do
    self._tasks[number] = mw.go(function()
      local socket
      while not self._is_over do
        socket = ask(self, socket, port)
      end
      if socket then
        socket:destroy()
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
