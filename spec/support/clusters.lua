-- Clusters that are written down in a test: a master's script and its workers',
-- which can't be taken for one another.

local children = require "spec.support.children"
local child_process = require "mw.child_process"
local process = require "mw.process"
local scratch = require "spec.support.scratch"

local M = {
  --- What else each master's settings have, as text.
  settings = "",
}

local folder

local prelude = [[
  local mw = require "mw"
  local cluster, process = mw.cluster, mw.process
]]

-- A master's workers run the other script, and are no masters.
local master_prelude = prelude .. "assert(cluster.is_master) cluster.setup_master { exec = arg[1], %s }\n"
local worker_prelude = prelude .. 'assert(cluster.is_worker) local worker = cluster.worker\n'

--- Writes a file beside the scripts of the test.
---@param name string
---@param text string
---@return string path
function M.write(name, text)
  folder = folder or scratch.new()
  return folder:write(name, text)
end

--- Starts a master, which finds `mw`, `cluster` and `process` set, and a script
--- for its workers, which finds `worker` beside.
---@param master string
---@param worker? string
---@param opts? table options of spawn
---@return mw.Child
function M.start(master, worker, opts)
  local args = {
    M.write("master.lua", master_prelude:format(M.settings) .. master),
    M.write("worker.lua", worker_prelude .. (worker or "")),
  }
  local all = { timeout = 60000, kill_signal = "SIGKILL" } -- the workers die with it
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  return child_process.spawn(process.exec_path, args, all)
end

--- Waits for the end of a master, which must be status 0 without complaints;
--- returns what was printed.
---@param child mw.Child
---@return string
function M.finish(child)
  local result = children.finish(child)
  assert(result.stderr == "", result.stderr)
  assert(result.code == 0, ("ended with %s, %s"):format(result.code, result.signal))
  return result.stdout
end

--- Does both.
---@param master string
---@param worker? string
---@param opts? table
---@return string
function M.run(master, worker, opts)
  return M.finish(M.start(master, worker, opts))
end

--- Removes the scripts of a test.
function M.clean()
  if folder then
    folder:remove()
    folder = nil
  end
end

return M
