-- Forks many workers at once and prints the milliseconds until each has sent its
-- first message: fork_many.lua COUNT [MODULE...]. With modules, the workers come
-- from a fork server that has loaded them.

local mw = require "mw"

local count = tonumber(arg[1])
local opts = { cwd = arg[0]:match "^(.*)/" }
local children = {}

local function fork()
  local child = mw.child_process.fork("fork_worker.lua", {}, opts)
  table.insert(children, child)
  return child
end

if arg[2] then
  opts.preload = { table.unpack(arg, 2) }
  fork():wait "message"
end

local left = count
local start = mw.process.hrtime()
for _ = 1, count do
  fork():once("message", function()
    left = left - 1
    if left == 0 then
      print((mw.process.hrtime() - start) / 1e6)
      for _, child in ipairs(children) do
        child:disconnect()
      end
    end
  end)
end
