-- Loaded by busted before the specs: after each test nothing may be left of
-- what it has opened.

local busted = require "busted"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"

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
-- children, the handles of immediates.
require("mw.timers").set_immediate(function() end)
require("mw.child_process").exec "true"

local before

busted.subscribe({ "test", "start" }, function()
  before = count()
end)

busted.subscribe({ "test", "end" }, function(element, _, status)
  if status ~= "success" then
    return
  end
  local _, problem
  local ok = pcall(eventually, function()
    collectgarbage()
    _, problem = is_back(before)
    return not problem
  end, 2000)
  if not ok then
    busted.publish({ "error", "it" }, element, element.parent, "left behind: " .. problem, { message = problem })
  end
end)
