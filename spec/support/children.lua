-- Starts children and collects what becomes of them.

local child_process = require "mw.child_process"
local events = require "spec.support.events"
local eventually = require "spec.support.eventually"
local process = require "mw.process"

local M = {}

-- More than any test needs, less than a reader's patience.
local patience = 60000

--- Collects all that a stream gives. The function returned tells what it was
--- so far.
---@param stream mw.Readable
---@return fun(): string
function M.collect(stream)
  local chunks = {}
  stream:on("data", function(chunk)
    chunks[#chunks + 1] = chunk
  end)
  return function()
    return table.concat(chunks)
  end
end

local all_events = { "spawn", "error", "exit", "disconnect", "close" }

--- Writes down the events of a child, each as { name, n = count, values... }.
---@param child mw.Child
---@param names? string[] which; all where absent
---@return table[]
function M.record(child, names)
  return events.record(child, table.unpack(names or all_events))
end

M.names = events.names

--- The recorded event of this name.
---@param recorded table[]
---@param name string
---@return table?
function M.event(recorded, name)
  for _, event in ipairs(recorded) do
    if event[1] == name then
      return event
    end
  end
end

--- Waits for `close` in recorded events, which may be there already.
---@param recorded table[]
---@return table event
function M.closed(recorded)
  return eventually(function()
    return M.event(recorded, "close")
  end, patience)
end

---@class spec.ChildResult
---@field child mw.Child
---@field events table[]
---@field code integer?
---@field signal string?
---@field error mw.Error?
---@field stdout string?
---@field stderr string?

--- Waits for the end of a child. Of one that was not just started the result
--- may lack events and output.
---@param child mw.Child
---@return spec.ChildResult
function M.finish(child)
  local recorded = M.record(child)
  local stdout = child.stdout and M.collect(child.stdout)
  local stderr = child.stderr and M.collect(child.stderr)
  local close = child.destroyed and { "close", child.exit_code, child.signal_code } or M.closed(recorded)
  local failure = M.event(recorded, "error")
  return {
    child = child,
    events = recorded,
    code = close[2],
    signal = close[3],
    error = failure and failure[2],
    stdout = stdout and stdout(),
    stderr = stderr and stderr(),
  }
end

--- Runs a program to its end.
---@param file string
---@param args? string[]
---@param opts? table
---@return spec.ChildResult
function M.run(file, args, opts)
  return M.finish(child_process.spawn(file, args or {}, opts or {}))
end

--- Runs a shell command to its end.
---@param command string
---@param opts? table
---@return spec.ChildResult
function M.sh(command, opts)
  return M.run("/bin/sh", { "-c", command }, opts)
end

--- Starts mwrun with a piece of Lua.
---@param code string
---@param opts? table
---@return mw.Child
function M.start_lua(code, opts)
  return child_process.spawn(process.exec_path, { "-e", code }, opts or {})
end

--- Runs a piece of Lua in a mwrun of its own to the end.
---@param code string
---@param opts? table
---@return spec.ChildResult
function M.lua(code, opts)
  return M.finish(M.start_lua(code, opts))
end

return M
