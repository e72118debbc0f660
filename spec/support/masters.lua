-- Masters of a test: processes that supervise workers, told by signals what to
-- do, and seen from outside.

local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local net = require "mw.net"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"

local M = {}

local script = [[
  local mw = require "mw"
  local supervisor = mw.supervisor.start(assert(mw.json.decode(arg[1])))
  supervisor:on("ready", function(worker) print("ready", worker.pid) end)
  mw.process.on("SIGWINCH", function()
    local list = {}
    for index, worker in ipairs(supervisor:workers()) do
      list[index] = ("%d:%d:%d:%s"):format(worker.slot, worker.generation, worker.pid, worker.state)
    end
    print("workers", table.concat(list, " "))
  end)
  supervisor:on("exit", function(worker, code, signal) print("exit", worker.pid, code, signal) end)
  supervisor:on("restart", function(worker) print("restart", worker.pid) end)
  supervisor:on("reload", function(ok) print("reload", ok) end)
  print "began\t"
]]

local worker_prelude = 'local mw = require "mw"; local process = mw.process; '

---@class spec.Master
---@field child mw.Child
---@field port integer where its workers may listen: `arg[1]` in them
---@field printed fun(): string
---@field complaints fun(): string
---@field folder spec.Scratch
---@field program string the path by which it was started: a link to the mwrun under test
---@field private _words string[] its command line
---@field private _orphans integer[] the pids of workers that were left
local Master = {}
Master.__index = Master

local function free_port()
  local server = net.create_server():listen(0, "127.0.0.1")
  local port = server:address().port
  server:close():wait "close"
  return port
end

local running

--- Starts it, also again after its end.
function Master:begin()
  self.child = mw.child_process.spawn(self.program, self._words, {
    stdio = { "ignore", "pipe", "pipe", self._has_channel and "ipc" or nil },
  })
  self.printed, self.complaints = children.collect(self.child.stdout), children.collect(self.child.stderr)
end

--- Starts a master of workers that run a piece of Lua, each of which must be
--- ready.
---@param code string
---@param opts? table of the supervisor
---@param ready? integer how many must be ready; all where absent
---@param more? string what else the master does
---@return spec.Master
function M.start(code, opts, ready, more)
  local folder = scratch.new()
  local self = setmetatable({ folder = folder, port = free_port(), program = folder.path .. "/mwrun", _orphans = {} }, Master)
  running = self
  assert(require("luv").fs_symlink(mw.process.exec_path, self.program))
  local all = { script = folder:write("worker.lua", worker_prelude .. code), args = { tostring(self.port) }, workers = 2 }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  self._words = { folder:write("master.lua", script .. (more or "")), mw.json.encode(all) }
  self._has_channel = more ~= nil
  self:begin()
  self:wait_for("ready", ready or all.workers)
  return self
end

--- How often it has printed a word.
---@param word string
---@return integer
function Master:count(word)
  return select(2, self.printed():gsub("%f[%g]" .. word .. "\t", ""))
end

--- Waits until it has printed a word so often.
---@param word string
---@param number integer
function Master:wait_for(word, number)
  eventually(function()
    return self:count(word) >= number
  end)
end

--- The pids of its children that run.
---@return integer[]
function Master:workers()
  return proc.children(self.child.pid)
end

--- Its command line, without the program.
---@return string[]
function Master:words()
  return self._words
end

--- Kills it, and leaves its workers.
---@return integer[] pids
function Master:kill()
  local pids = self:workers()
  table.move(pids, 1, #pids, #self._orphans + 1, self._orphans)
  self.child:kill "SIGKILL"
  self.child:wait "exit"
  return pids
end

--- What it says about its workers: slot, generation, pid and state of each.
---@return string
function Master:told_workers()
  self:wait_for("began", 1)
  local before = self:count "workers"
  self.child:kill "SIGWINCH"
  self:wait_for("workers", before + 1)
  return (self.printed():match ".*workers\t([^\n]*)\n")
end

--- Lets it run its file again, and waits until it does.
function Master:run_again()
  local began = self:count "began"
  self.child:kill "SIGUSR2"
  self:wait_for("began", began + 1)
end

--- Stops it; all must end well.
function Master:stop()
  self.child:kill "SIGTERM"
  local result = children.finish(self.child)
  assert(result.code == 0, ("ended with %s, %s: %s"):format(result.code, result.signal, self.complaints()))
end

local function kill_orphans(self)
  for _, pid in ipairs(self._orphans) do
    if proc.command_line(pid):find(self.folder.path, 1, true) then
      mw.process.kill(pid, "SIGKILL")
    end
  end
end

--- Ends the master that there is, and workers that it has left.
function M.clean()
  if not running then
    return
  end
  kill_orphans(running)
  if running.child and not running.child.destroyed then
    running.child:disconnect()
    running.child:kill "SIGTERM"
    children.finish(running.child)
  end
  running.folder:remove()
  running = nil
end

--- Declares a test that starts a master, which has ended when it is over.
---@param name string
---@param fn fun()
function M.it(name, fn)
  require("busted").it(name, function()
    local ok, err = xpcall(fn, function(err)
      return type(err) == "string" and debug.traceback(err) or err
    end)
    M.clean()
    if not ok then
      error(err, 0)
    end
  end)
end

return M
