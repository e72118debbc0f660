-- The ports that a worker serves together with others: its servers and UDP
-- sockets get them from the master.

local SharedHandle = require "mw.cluster.inside.shared_handle"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local places = require "mw.cluster.inside.places"
local providers = require "mw.providers"
local tick = require "mw.tick"

local M = {
  --- What the master may ask for, by `act`.
  ---@type table<string, fun(message: table, descriptor: integer|false|nil, reply: mw.ClusterReply)>
  commands = {},
}

---@type mw.ClusterLink
local link
---@type fun()
local note_listening

-- The way on which the master passes connections.
local intake

-- Open servers and sockets that share a port, until their `close`.
local sharers = {}

-- What is asked of the master: what for, and which of ours at that place it is.
---@class mw.PortRequest
---@field what table
---@field number integer
---@field free fun() gives the number back
---@field done fun(err: any, answer: table?, descriptor: integer|false|nil)

---@type table<mw.ClusterHandle, mw.PortRequest>
local handles = {}
---@type table<table, { handle: userdata, key: integer, request: mw.PortRequest }> UDP sockets
local bound = {}
---@type table<mw.PortRequest, true> those without an answer
local asked = {}
local is_active = true
-- Whether a master that is gone may be followed by another.
local outlives_master = false

-- Where the master ends the way, no connection comes any more.
local function open_intake(descriptor, counts)
  local opened
  opened = require("mw.core.intake").intake(descriptor, counts, function()
    if opened == intake then
      intake = nil
    end
    opened:close()
  end)
  if not opened then
    fd.close(descriptor)
  end
  return opened
end

--- The master opens the way; it hears where that has failed here.
function M.commands.intake(message, descriptor)
  if intake then
    return descriptor and fd.close(descriptor)
  end
  intake = descriptor and open_intake(descriptor, message.counts == true) or nil
  if not intake then
    link:send { act = "no_intake" }
  end
end

--- Whether connections may come. What the master passes on, it holds back itself.
function M.commands.set_active(message, descriptor)
  if descriptor then
    fd.close(descriptor)
  end
  is_active = message.active == true
  for handle in pairs(handles) do
    handle:_set_active(is_active)
  end
end

local function name_of(what)
  local parts = {}
  for index, key in ipairs { "type", "address", "port", "fd", "directory", "path" } do
    parts[index] = tostring(what[key])
  end
  return table.concat(parts, " ")
end

-- What is left to say of a refusal is the server's, where it is listen(2)'s.
local function refusal_of(answer, what)
  if answer.syscall == nil or answer.syscall == "listen" then
    return answer.code
  end
  local place = what.path or what.address
  local text = place and answer.syscall .. " " .. place or answer.syscall
  return errors.system(answer.code, text, { syscall = answer.syscall, address = place, port = what.port })
end

local function query(request, more, descriptor, answered)
  local message = { act = "query_server", number = request.number }
  for _, part in ipairs { request.what, more } do
    for key, value in pairs(part) do
      message[key] = value
    end
  end
  return link:send(message, descriptor, answered)
end

-- Asks the master for the first time; or the next one, where it has not answered.
local function send(request)
  asked[request] = true
  return query(request, {}, nil, function(answer, descriptor)
    asked[request] = nil
    if answer.code then
      request.free()
      return request.done(refusal_of(answer, request.what))
    end
    request.done(nil, answer, descriptor)
  end)
end

local function new_request(what)
  local name = name_of(what)
  local number = places.take(name)
  return {
    what = what,
    number = number,
    free = function()
      places.free(name, number)
    end,
  }
end

local function ask(request, done)
  request.done = done
  if not send(request) and not outlives_master then
    asked[request] = nil
    request.free()
    tick.add(done, errors.new("ERR_IPC_CHANNEL_CLOSED", "ERR_IPC_CHANNEL_CLOSED: the master is gone"))
  end
end

local function leave(key, free)
  free()
  link:send { act = "close", key = key }
end

local families = { inet = 4, inet6 = 6 }

local function tell_listening(name, what)
  local is_path = type(name) == "string"
  note_listening()
  link:send {
    act = "listening",
    address = is_path and what.path or name.ip,
    port = not is_path and name.port or nil,
    address_type = what.type or is_path and -1 or families[name.family],
    fd = what.fd,
  }
end

local function add_sharer(sharer)
  if not sharers[sharer] then
    sharers[sharer] = true
    sharer:once("close", function()
      sharers[sharer] = nil
    end)
  end
end

-- Servers ----------------------------------------------------------------------

-- Where a relative path is, the master can't know.
local function located(what)
  local target = {}
  for key, value in pairs(what) do
    target[key] = value
  end
  local path = what.path
  if path and path:byte() ~= 0 and path:sub(1, 1) ~= "/" then
    target.directory = require("mw.process").cwd()
  end
  return target
end

local function hooks_of(request)
  return {
    serving = function(handle)
      tick.add(function()
        if not handle:is_closing() then
          tell_listening(handle:getsockname(), request.what)
        end
      end)
    end,
    closed = function(handle)
      handles[handle] = nil
      leave(handle.key, request.free)
    end,
  }
end

-- A handle without its descriptor can serve nothing.
local function made(answer, descriptor, request)
  if not intake or descriptor == false then
    if descriptor then
      fd.close(descriptor)
    end
    leave(answer.key, request.free)
    return nil, "EMFILE"
  end
  local handle = SharedHandle.new(answer, descriptor, intake, hooks_of(request))
  handle:_set_active(is_active)
  handles[handle] = request
  return handle
end

---@type mw.ListenProvider
local function listen(server, what, done)
  add_sharer(server)
  local request = new_request(located(what))
  ask(request, function(err, answer, descriptor)
    if err then
      return done(err)
    end
    local handle, refusal = made(answer, descriptor, request)
    done(refusal, handle)
  end)
end

-- UDP sockets ------------------------------------------------------------------

-- A socket may be closed before it listens, and when it does.
local function share_socket(socket, handle, key, request)
  local name = handle:getsockname()
  bound[socket] = { handle = handle, key = key, request = request }
  local function tell()
    tell_listening(name, request.what)
  end
  socket:once("listening", tell)
  socket:once("close", function()
    socket:off("listening", tell)
    leave(bound[socket].key, request.free)
    bound[socket] = nil
  end)
end

---@type mw.DgramBindProvider
local function bind(socket, what, done)
  add_sharer(socket)
  local request = new_request(what)
  ask(request, function(err, answer, descriptor)
    if err then
      return done(err)
    end
    local handle = descriptor and require("luv").new_udp()
    local ok, _, code = nil, nil, "EMFILE"
    if handle then
      ok, _, code = handle:open(descriptor)
    end
    if ok then
      share_socket(socket, handle, answer.key, request)
      return done(nil, handle)
    end
    if handle then
      handle:close()
      fd.close(descriptor)
    end
    leave(answer.key, request.free)
    done(code)
  end)
end

-- Without a master -------------------------------------------------------------

--- From now on a master that is gone is not the end: who asks for a port then
--- waits for the next one.
function M.outlive_master()
  outlives_master = true
end

--- Whether the master lets connections come.
---@return boolean
function M.is_active()
  return is_active
end

--- Whether all has come that the master has passed on.
---@return boolean
function M.is_alone()
  return intake == nil
end

--- The master is gone: accepts where it did.
function M.serve_alone()
  for handle in pairs(handles) do
    handle:_serve_alone()
  end
end

local function rejoin_handle(handle, request)
  query(request, { kind = handle.kind }, handle:_socket(), function(answer, descriptor)
    if descriptor then
      fd.close(descriptor)
    end
    if answer.code then
      return -- the port is another's there: it stays as it is
    elseif handle:is_closing() or not intake or not handle:_rejoin(answer, intake) then
      link:send { act = "close", key = answer.key }
    else
      tell_listening(handle:getsockname(), request.what)
    end
  end)
end

local function rejoin_socket(socket, from)
  query(from.request, { kind = "shared" }, from.handle:fileno(), function(answer, descriptor)
    if descriptor then
      fd.close(descriptor)
    end
    if answer.code then
      return
    elseif bound[socket] then
      from.key = answer.key
      tell_listening(from.handle:getsockname(), from.request.what)
    else
      link:send { act = "close", key = answer.key }
    end
  end)
end

--- Another master wants to have the ports that we serve: it gets our sockets. It
--- has asked for all once it has the answer.
function M.commands.rejoin(_, descriptor, reply)
  if descriptor then
    fd.close(descriptor)
  end
  for handle, request in pairs(handles) do
    rejoin_handle(handle, request)
  end
  for socket, from in pairs(bound) do
    rejoin_socket(socket, from)
  end
  for request in pairs(asked) do
    send(request)
  end
  reply()
end

-- Life -------------------------------------------------------------------------

--- Lets servers and UDP sockets get their handles from the master.
---@param master mw.ClusterLink
---@param listens fun() called for each that listens
function M.start(master, listens)
  link, note_listening = master, listens
  providers.listen, providers.bind = listen, bind
end

local function close_intake()
  if intake then
    intake:close()
    intake = nil
  end
end

--- Whether any server or UDP socket shares a port, or has asked for one.
---@return boolean
function M.is_used()
  return next(sharers) ~= nil
end

--- Closes all, and calls `done` once each has emitted `close`.
---@param done fun()
function M.close_all(done)
  local open = 1
  local function closed()
    open = open - 1
    if open == 0 then
      close_intake()
      done()
    end
  end
  local list = {}
  for sharer in pairs(sharers) do
    list[#list + 1] = sharer
  end
  for _, sharer in ipairs(list) do
    open = open + 1
    sharer:once("close", closed)
    sharer:close()
  end
  closed()
end

return M
