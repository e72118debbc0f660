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

local handles = {}
local is_active = true

-- Where the master ends the way, no connection comes any more.
local function open_intake(descriptor, counts)
  local opened = require("mw.core.intake").intake(descriptor, counts, function() end)
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

-- Asks the master; `done(err, answer, descriptor, free)`.
local function ask(what, done)
  local name = name_of(what)
  local number = places.take(name)
  local function free()
    places.free(name, number)
  end
  local message = { act = "query_server", number = number }
  for key, value in pairs(what) do
    message[key] = value
  end
  local is_sent = link:send(message, nil, function(answer, descriptor)
    if answer.code then
      free()
      return done(refusal_of(answer, what))
    end
    done(nil, answer, descriptor, free)
  end)
  if not is_sent then
    free()
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

local function hooks_of(what, free)
  return {
    serving = function(handle)
      tick.add(function()
        if not handle:is_closing() then
          tell_listening(handle:getsockname(), what)
        end
      end)
    end,
    closed = function(handle)
      handles[handle] = nil
      leave(handle.key, free)
    end,
  }
end

-- A handle without its descriptor can serve nothing.
local function made(answer, descriptor, what, free)
  if not intake or descriptor == false then
    if descriptor then
      fd.close(descriptor)
    end
    leave(answer.key, free)
    return nil, "EMFILE"
  end
  local handle = SharedHandle.new(answer, descriptor, intake, hooks_of(what, free))
  handle:_set_active(is_active)
  handles[handle] = true
  return handle
end

---@type mw.ListenProvider
local function listen(server, what, done)
  add_sharer(server)
  ask(located(what), function(err, answer, descriptor, free)
    if err then
      return done(err)
    end
    local handle, refusal = made(answer, descriptor, what, free)
    done(refusal, handle)
  end)
end

-- UDP sockets ------------------------------------------------------------------

-- A socket may be closed before it listens, and when it does.
local function share_socket(socket, name, what, key, free)
  local function tell()
    tell_listening(name, what)
  end
  socket:once("listening", tell)
  socket:once("close", function()
    socket:off("listening", tell)
    leave(key, free)
  end)
end

---@type mw.DgramBindProvider
local function bind(socket, what, done)
  add_sharer(socket)
  ask(what, function(err, answer, descriptor, free)
    if err then
      return done(err)
    end
    local handle = descriptor and require("luv").new_udp()
    local ok, _, code = nil, nil, "EMFILE"
    if handle then
      ok, _, code = handle:open(descriptor)
    end
    if ok then
      share_socket(socket, handle:getsockname(), what, answer.key, free)
      return done(nil, handle)
    end
    if handle then
      handle:close()
      fd.close(descriptor)
    end
    leave(answer.key, free)
    done(code)
  end)
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
