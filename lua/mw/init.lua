-- mwrun: a scriptable master-worker runtime. The door: `local mw = require
-- "mw"` loads every other module on first use.

local task = require "mw.task"

---@class mw
---@field abort_controller fun(): mw.AbortController
---@field child_process table
---@field cluster table
---@field dgram table
---@field emitter table
---@field http table
---@field json table
---@field msgpack table
---@field net table
---@field process table
---@field stream table
---@field supervisor table
---@field timers table
local mw = {
  --- The version of mwrun.
  version = require("mw.core.system").version,
  --- JSON's null inside messages; nil is absence.
  null = require("mw.core.json").null,
  go = task.go,
  sleep = task.sleep,
}

return setmetatable(mw, {
  __index = function(self, name)
    if type(name) ~= "string" then
      return nil
    end
    local found, module = pcall(require, "mw." .. name)
    if found then
      rawset(self, name, module)
      return module
    elseif not tostring(module):find(("module 'mw.%s' not found"):format(name), 1, true) then
      error(module, 2)
    end
  end,
})
