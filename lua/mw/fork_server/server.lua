-- One fork server, as its master sees it: a process of ours that loads modules,
-- tells whether it could, and then makes workers until we let go of it.

local core = require "mw.core.fork_server"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local native = require "mw.core.process"
local process = require "mw.process"
local timers = require "mw.timers"
local uv = require "luv"

---@class mw.Preload
---@field modules string[]
---@field exec_argv string[] options of lua; of these, -E counts
---@field env table<string, any>? the worker's; ours where absent
---@field cwd string? the worker's; ours where absent

---@class mw.ForkServer
---@field preload mw.Preload
---@field _settle? fun(err: mw.Error?) ends the wait of when_ready()
local Server = { __name = "mw.fork_server" }
Server.__index = Server

-- How long the titles of workers may be.
local title_room = (" "):rep(1024)

local function arguments_of(preload)
  local args = { process.exec_path }
  args[2] = Server.ignores_environment(preload) and "-E" or nil
  args[#args + 1] = "--"
  table.move(preload.modules, 1, #preload.modules, #args + 1, args)
  args[#args + 1] = title_room
  return args
end

-- The C library looks up all functions at once, and not again in each worker.
local function environment_of(preload)
  local list = { "MW_FORK_SERVER_FD=3", "LD_BIND_NOW=1" }
  for name, value in pairs(preload.env or process.env) do
    list[#list + 1] = name .. "=" .. tostring(value)
  end
  return list
end

--- Whether its modules are looked for without LUA_PATH and its like.
---@param preload mw.Preload
---@return boolean
function Server.ignores_environment(preload)
  for _, option in ipairs(preload.exec_argv) do
    if option == "-E" then
      return true
    end
  end
  return false
end

--- Starts one, which is not ready yet. It does not keep the loop alive.
---@param preload mw.Preload
---@param on_end fun(server: mw.ForkServer)
---@return mw.ForkServer?
---@return string? code the system's refusal
---@return string? stage
function Server.start(preload, on_end)
  local ours, theirs = core.pair()
  if not ours then
    return nil, theirs, "pipe"
  end
  local self = setmetatable({ preload = preload, _socket = ours }, Server)
  local handle, code, stage = native.spawn({
    file = "/proc/self/exe", -- ours, whatever is at its path by now
    args = arguments_of(preload),
    env = environment_of(preload),
    cwd = preload.cwd,
    fds = { n = 4, false, 1, 2, theirs },
    death_signal = native.signals.SIGKILL,
  }, function()
    if self._settle then
      self._settle(self:wait(0))
    end
    self:close()
    on_end(self)
  end)
  fd.close(theirs)
  if not handle then
    fd.close(ours)
    return nil, code, stage
  end
  handle:unref()
  self._process = handle
  return self
end

local function preload_error(code, reason, limit)
  local module, text = reason:match "^(.-)\n(.*)$"
  if module then
    local missing = text:find(("module '%s' not found"):format(module), 1, true)
    code = missing and "ERR_MODULE_NOT_FOUND" or "ERR_PRELOAD_FAILED"
    return errors.new(code, ("%s: cannot preload '%s': %s"):format(code, module, text), { module = module })
  elseif code == "ETIMEDOUT" then
    return errors.system(code, ("preload modules in %d ms"):format(limit))
  end
  return errors.new("ERR_PRELOAD_FAILED", "ERR_PRELOAD_FAILED: the fork server ended while it loaded its modules")
end

--- Stands still until it is ready. One that can't be is ended.
---@param limit integer milliseconds
---@return mw.Error? err why it can't be
function Server:wait(limit)
  local ready, code, reason = core.wait(self._socket, limit)
  if not ready then
    self:kill()
    return preload_error(code, reason, limit)
  end
end

--- The same without standing still.
---@param limit integer milliseconds
---@param done fun(err: mw.Error?)
function Server:when_ready(limit, done)
  local poll, timer = uv.new_poll(self._socket), nil
  -- Its end, which closes the socket, may be seen before what it has said; and
  -- the loop must not be left with a socket that is closed.
  function self._settle(err)
    self._settle = nil
    poll:close()
    timers.clear_timeout(timer)
    done(err)
  end
  timer = timers.set_timeout(function()
    self:kill()
    self._settle(preload_error("ETIMEDOUT", "", limit))
  end, limit)
  poll:start("r", function()
    self._settle(self:wait(0))
  end)
end

--- Starts a worker, as `spawn` of mw.core.process does a program.
---@param engine table the engine's options; changed
---@param portable boolean whether in the way that needs nothing of Linux's own
---@param on_exit fun(code: integer?, signal: string?)
---@return userdata? handle
---@return string? code
---@return string? stage "server" where it is of no use any more
function Server:spawn(engine, portable, on_exit)
  engine.fork_server, engine.double_fork = self._socket, portable
  return native.spawn(engine, on_exit)
end

--- Lets go of it: its socket is all that it lives for. May be called twice.
function Server:close()
  if self._socket then
    fd.close(self._socket)
    self._socket = nil
  end
end

--- The same, for one that may not look at its socket any more.
function Server:kill()
  self:close()
  self._process:kill(native.signals.SIGKILL)
end

return Server
