-- What a module asks of its process when it is loaded. In a fork server that
-- is the wrong process: there it is asked again, in each worker.

local loop = require "mw.core.loop"

local M = {}

local again = {}

loop.set_hook("start", function()
  for _, fn in ipairs(again) do
    fn()
  end
end)

--- Runs `fn` at once, and once more in each worker of this fork server.
---@param fn fun()
function M.run(fn)
  fn()
  if not loop.has_loop() then
    again[#again + 1] = fn
  end
end

--- Whether this is a fork server: what counts is still to come.
---@return boolean
function M.is_to_come()
  return not loop.has_loop()
end

return M
