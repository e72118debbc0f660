-- Loaded by busted before the specs: a test that waits for ever is ended, and
-- after each test nothing may be left of what it has opened.

local busted = require "busted"
local eventually = require "spec.support.eventually"
local fork_server = require "mw.fork_server"
local leaks = require "spec.support.leaks"
local uv = require "luv"

-- Tests start mwrun in folders of their own.
local process = require "mw.process"
local source = process.env.MWRUN_LUA_DIR
if source and source:sub(1, 1) ~= "/" then
  process.env.MWRUN_LUA_DIR = process.cwd() .. "/" .. source
end

local function count()
  return { descriptors = leaks.descriptor_count(), children = #leaks.children(), handles = leaks.handle_count() }
end

local function is_back(before)
  local now = count()
  for what, number in pairs(before) do
    if now[what] > number then
      return false, ("%d %s before the test, %d after it"):format(number, what, now[what])
    end
  end
  return true
end

-- The first use of a module opens what stays: the watcher of signals, of
-- children, of files, the handles of immediates.
require("mw.timers").set_immediate(function() end)
require("mw.child_process").exec "true"
local watcher = uv.new_fs_event()
assert(watcher:start("/", {}, function() end))
watcher:close()

-- busted forgets after each file what that has loaded; but what a module loads
-- on its first use must be the same for all.
require "mw.ipc.handle"

local before

local longest_test = 120000
local limit = uv.new_timer()
limit:unref()

busted.subscribe({ "test", "start" }, function(element)
  before = count()
  uv.update_time() -- the test before may not have turned the loop for long
  limit:start(longest_test, 0, function()
    local message = ("\nnot over after %d s: %s"):format(longest_test // 1000, element.name)
    io.stderr:write(debug.traceback(message), "\n")
    os.exit(1)
  end)
end)

busted.subscribe({ "test", "end" }, function(element, _, status)
  limit:stop()
  fork_server.replace() -- they would wait for the next test
  if status ~= "success" then
    return
  end
  local _, problem
  local ok = pcall(eventually, function()
    collectgarbage()
    _, problem = is_back(before)
    return not problem
  end)
  if not ok then
    busted.publish({ "error", "it" }, element, element.parent, "left behind: " .. problem, { message = problem })
  end
end)
