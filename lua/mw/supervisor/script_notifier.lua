-- A notifier whose source is a script: a process of its own, each of whose
-- messages is a new value. It is kept alive as the workers are.

local RestartPolicy = require "mw.supervisor.restart_policy"
local child_process = require "mw.child_process"
local cluster = require "mw.cluster"

---@class mw.ScriptNotifier
local ScriptNotifier = {}
ScriptNotifier.__index = ScriptNotifier

-- Nothing from the terminal: its end is the supervisor's.
local function fork(opts)
  return child_process.fork(opts.script, opts.args, {
    exec_argv = cluster.settings.exec_argv,
    process_group = true,
  })
end

local function describe_end(child, code, signal)
  local failure = child.errored and tostring(child.errored)
  local how = failure or signal and "was ended by " .. signal or "ended with status " .. code
  return "the notifier " .. how
end

local start

local function ended(self, child, code, signal)
  self._host.log(describe_end(child, code, signal))
  local now = self._host.clock:now()
  local delay = self._policy:failed(now, self._ready_at and now - self._ready_at, code)
  self._timer = self._host.clock:after(delay, function()
    self._timer = nil
    start(self)
  end)
end

function start(self)
  local child = fork(self._opts)
  self._child, self._ready_at = child, nil
  child:on("error", function() end)
  child:on("message", function(value)
    if self._child == child then
      self._ready_at = self._ready_at or self._host.clock:now()
      self._host.notify(value)
    end
  end)
  child:on("close", function(code, signal)
    if self._child == child then
      self._child = nil
      ended(self, child, code, signal)
    end
  end)
end

--- Starts it.
---@param opts { script: string, args: string[]? }
---@param host mw.NotifierHost
---@return mw.ScriptNotifier
function ScriptNotifier.start(opts, host)
  local self = setmetatable({ _opts = opts, _host = host }, ScriptNotifier)
  self._policy = RestartPolicy.new(host.restart, math.random)
  start(self)
  return self
end

--- Starts it anew: its code may be another.
function ScriptNotifier:reload()
  self:close()
  self._policy:reset()
  start(self)
end

--- The process that it is now.
---@return integer?
function ScriptNotifier:pid()
  return self._child and self._child.pid
end

--- Ends it.
function ScriptNotifier:close()
  local child = self._child
  self._child = nil
  if child then
    child:kill "SIGTERM"
  end
  if self._timer then
    self._timer:close()
    self._timer = nil
  end
end

return ScriptNotifier
