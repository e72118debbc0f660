-- Lets what a spec forks come from a fork server.

local child_process = require "mw.child_process"
local fork_server = require "mw.fork_server"

local M = {}

local plain_fork = child_process.fork

-- fork(script[, args][, options]), with the option where it is possible.
local function fork_preloaded(script, ...)
  local rest = table.pack(...)
  local opts = rest[rest.n]
  if type(opts) ~= "table" or opts[1] ~= nil or (rest.n == 1 and next(opts) == nil) then
    rest.n = rest.n + 1
    opts = nil
  end
  if opts and opts.exec_path then
    return plain_fork(script, ...)
  end
  local with = { preload = {} }
  for key, value in pairs(opts or {}) do
    with[key] = value
  end
  rest[rest.n] = with
  return plain_fork(script, table.unpack(rest, 1, rest.n))
end

--- Runs `fn` with a fork() that preloads, as specs find it by its module.
---@param portable boolean whether in the way that is not Linux's own
---@param fn fun()
function M.within(portable, fn)
  local before = fork_server.portable
  child_process.fork, fork_server.portable = fork_preloaded, portable
  local ok, err = pcall(fn)
  child_process.fork, fork_server.portable = plain_fork, before
  assert(ok, err)
end

--- Lets the tests of the `describe` around it fork so.
---@param portable boolean
function M.apply(portable)
  local busted = require "busted"
  busted.before_each(function()
    child_process.fork, fork_server.portable = fork_preloaded, portable
  end)
  busted.after_each(function()
    child_process.fork, fork_server.portable = plain_fork, false
  end)
end

return M
