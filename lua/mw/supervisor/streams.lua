-- The streams between a master and a worker, beside their channel: what the
-- worker writes, and what its watchdog reports.

local fd = require "mw.core.fd"
local inside = require "mw.supervisor.inside"

local M = {
  --- Behind the three standard streams and the channel.
  report_descriptor = 4,
}

--- The option `stdio` for a worker. One that may survive us gets our own standard
--- streams, too, for that time.
---@param survives boolean
---@return table
function M.stdio(survives)
  local list = { "ignore", "pipe", "pipe", "ipc", "pipe" }
  if survives then
    for number, spare in ipairs(inside.spare_descriptors) do
      list[spare + 1] = number
    end
  end
  return list
end

local function open_pair(number)
  if number == M.report_descriptor then
    return fd.socketpair()
  end
  return fd.pipe()
end

--- Opens those for a worker that runs already; without what there are no
--- descriptors left for.
---@return { number: integer, fd: integer }[] ours
---@return table<integer, integer> theirs descriptors by their numbers there
function M.open()
  local ours, theirs = {}, {}
  for _, number in ipairs { 1, 2, M.report_descriptor } do
    local our_end, their_end = open_pair(number)
    if our_end then
      ours[#ours + 1], theirs[number] = { number = number, fd = our_end }, their_end
    end
  end
  return ours, theirs
end

--- Sends a worker its ends, and our own standard streams.
---@param worker mw.MasterWorker
---@param theirs table<integer, integer> closed here
function M.give(worker, theirs)
  for number, descriptor in pairs(theirs) do
    worker._link:send({ act = "stream", number = number }, descriptor)
    fd.close(descriptor)
  end
  for number, spare in ipairs(inside.spare_descriptors) do
    worker._link:send({ act = "stream", number = spare }, number)
  end
end

return M
