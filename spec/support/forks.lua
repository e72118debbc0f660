-- Forked scripts that are written down in a test.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local scratch = require "spec.support.scratch"

local M = {}

local folder

-- What start() has begun to write down, by child.
local records = setmetatable({}, { __mode = "k" })

-- What a forked script of a test may use without naming it.
local prelude = 'local mw = require "mw"; local process = mw.process; '

--- Declares a test once for each form of messages; `fn` gets the options of
--- fork().
---@param name string
---@param fn fun(opts: table)
function M.in_both(name, fn)
  for _, serialization in ipairs { "msgpack", "json" } do
    require("busted").it(name .. " (" .. serialization .. ")", function()
      fn { serialization = serialization }
    end)
  end
end

--- Forks a piece of Lua, which finds `mw` and `process` set.
---@param code string
---@param opts? table options of fork
---@return mw.Child
---@return table[] messages fills as they come
function M.start(code, opts)
  folder = folder or scratch.new()
  local path = folder:write("forked.lua", prelude .. code)
  local child = child_process.fork(path, {}, opts or {})
  records[child] = { events = children.record(child), stdout = child.stdout and children.collect(child.stdout) }
  local messages = {}
  child:on("message", function(message)
    messages[#messages + 1] = message
  end)
  return child, messages
end

--- Waits for the end of a child of start(), which may be over.
---@param child mw.Child
---@return spec.ChildResult
function M.finish(child)
  local record = records[child]
  local close = children.closed(record.events)
  local failure = children.event(record.events, "error")
  return {
    child = child,
    events = record.events,
    code = close[2],
    signal = close[3],
    error = failure and failure[2],
    stdout = record.stdout and record.stdout(),
  }
end

--- Writes a script of a test without forking it.
---@param name string
---@param code string
---@return string path
function M.write(name, code)
  folder = folder or scratch.new()
  return folder:write(name, prelude .. code)
end

--- Forks a piece of Lua and waits for its end.
---@param code string
---@param opts? table
---@return spec.ChildResult result
---@return table[] messages
function M.run(code, opts)
  local child, messages = M.start(code, opts)
  return M.finish(child), messages
end

--- Waits until so many messages are there.
---@param messages table[]
---@param count? integer 1 where absent
---@return any last
function M.received(messages, count)
  eventually(function()
    return #messages >= (count or 1)
  end, 30000)
  return messages[#messages]
end

--- Disconnects from a child, which must then end by itself.
---@param child mw.Child
---@return spec.ChildResult
function M.end_of(child)
  if child.connected then
    child:disconnect()
  end
  local result = M.finish(child)
  assert(result.code == 0, ("ended with %s, %s"):format(result.code, result.signal))
  return result
end

--- Removes the scripts of a test.
function M.clean()
  if folder then
    folder:remove()
    folder = nil
  end
end

return M
