-- Runs mwrun where the kernel refuses something; see sandbox.c for the rules.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local process = require "mw.process"

local M = {}

local function compile(folder)
  local program = folder.path .. "/sandbox"
  local source = "spec/support/sandbox.c"
  for _, compiler in ipairs { "cc", "gcc", "clang" } do
    local result = child_process.spawn_sync(compiler, { "-o", program, source })
    if result.status == 0 then
      return program
    end
  end
  error("no compiler for " .. source)
end

--- Runs a piece of Lua in a mwrun under a rule to the end, in a folder of the
--- test's.
---@param folder spec.Scratch
---@param rule string
---@param code string
---@return spec.ChildResult
function M.run(folder, rule, code)
  local path = folder:write("sandboxed.lua", code)
  return children.run(compile(folder), { rule, process.exec_path, path }, { cwd = folder.path })
end

return M
