-- Waits for something to come to rest: for a flow that is to stop.

local eventually = require "spec.support.eventually"
local turns = require "spec.support.turns"

--- Waits until a function returns the same through a hundred turns of the loop;
--- returns that.
---@generic T
---@param fn fun(): T
---@return T
return function(fn)
  local last
  eventually(function()
    last = fn()
    turns(100)
    return fn() == last
  end)
  return last
end
