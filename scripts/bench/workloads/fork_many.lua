-- Forks many workers at once and prints the milliseconds until each has sent
-- its first message: fork_many.lua COUNT [MODULE...].

local mw = require "mw"

local folder = (arg[0]:match "^(.*/)" or "") .. "."
local count = tonumber(arg[1])
local opts = { cwd = folder }
if arg[2] then
  opts.preload = { table.unpack(arg, 2) }
  mw.child_process.fork("fork_worker.lua", {}, opts):disconnect()
  mw.sleep(200)
end

local children, left = {}, count
local start = mw.process.hrtime()
for index = 1, count do
  children[index] = mw.child_process.fork("fork_worker.lua", {}, opts)
  children[index]:once("message", function()
    left = left - 1
    if left == 0 then
      print((mw.process.hrtime() - start) / 1e6)
      for _, child in ipairs(children) do
        child:disconnect()
      end
    end
  end)
end
