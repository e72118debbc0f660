-- What specs of handles that travel have in common.

local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local net = require "mw.net"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"
local sockets = require "spec.support.sockets"

local M = {}

M.in_both, M.end_of = forks.in_both, forks.end_of

--- Forks a piece of Lua; what it sends is written down as { message, handle }.
---@param code string
---@param opts? table
---@return mw.Child
---@return table[] arrivals
function M.start(code, opts)
  local child = forks.start(code, opts)
  local arrivals = {}
  child:on("message", function(message, handle)
    arrivals[#arrivals + 1] = { message, handle }
  end)
  return child, arrivals
end

--- Waits until so many messages are there; returns the last one and its handle.
---@param arrivals table[]
---@param count? integer 1 where absent
---@return any message
---@return any handle
function M.arrived(arrivals, count)
  forks.received(arrivals, count)
  return table.unpack(arrivals[count or 1], 1, 2)
end

--- Kills a child, and waits for its end.
---@param child mw.Child
---@return spec.ChildResult
function M.kill(child)
  child:kill "SIGKILL"
  return forks.finish(child)
end

--- Stops a child that runs, and waits until it does.
---@param child mw.Child
function M.stop(child)
  child:kill "SIGSTOP"
  eventually(function()
    return proc.stat(child.pid).state == "T"
  end)
end

--- Reads a socket to its end.
---@param socket mw.Socket
---@return string
function M.read_all(socket)
  local chunks = {}
  local function next_chunk()
    return socket:read()
  end
  for chunk in next_chunk do
    chunks[#chunks + 1] = chunk
  end
  return table.concat(chunks)
end

--- Writes down what comes on a socket; the function returned tells it.
---@param socket mw.Socket
---@return fun(): string
function M.collect(socket)
  return children.collect(socket)
end

--- Both ends of a connection over a path in a folder of its own, and the server
--- between them. `remove` takes the folder away.
---@return mw.Socket client
---@return mw.Socket accepted
---@return mw.Server server
---@return fun() remove
function M.unix_pair()
  local folder = scratch.new()
  local accepted
  local server, path = sockets.listen(function(socket)
    accepted = socket
  end, {}, { path = folder.path .. "/socket" })
  local client = net.connect(path)
  assert(client:wait("connect", 5000))
  eventually(function()
    return accepted
  end)
  return client, accepted, server, function()
    folder:remove()
  end
end

return M
