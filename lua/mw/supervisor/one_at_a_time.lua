-- Reloads for who asks again and again: each reads all anew, so that one more is
-- enough for all who ask while one is under way.

local M = {}

--- A function that asks for a reload: while one is under way, for one more after
--- it, however often it is called.
---@param reload fun(done: fun())
---@return fun()
function M.new(reload)
  local is_running, is_wanted = false, false
  local function start()
    if is_running then
      is_wanted = true
      return
    end
    is_running, is_wanted = true, false
    reload(function()
      is_running = false
      if is_wanted then
        start()
      end
    end)
  end
  return start
end

return M
