-- The ways on which workers get connections, in the master: one for each worker
-- that serves ports.

local core = require "mw.core.dispatcher"
local fd = require "mw.core.fd"

---@class mw.PortMember a worker that serves ports
---@field worker mw.MasterWorker
---@field outlet userdata the way to it, of mw.core.dispatcher
---@field slot integer

local M = {}

---@type table<mw.MasterWorker, mw.PortMember>
local members = {}
---@type table<userdata, mw.MasterWorker>
local workers = {}

--- Ends the way to a worker; what it has not taken goes to others.
---@param worker mw.MasterWorker
function M.close(worker)
  local member = members[worker]
  if member then
    members[worker], workers[member.outlet] = nil, nil
    member.outlet:close()
  end
end

local function send_end(worker, descriptor, counts)
  local is_sent = worker._link:send({ act = "intake", counts = counts }, descriptor)
  fd.close(descriptor)
  return is_sent
end

local function enter(worker, outlet)
  outlet:set_active(worker._is_inactive ~= true)
  members[worker] = { worker = worker, slot = worker.slot, outlet = outlet }
  workers[outlet] = worker
  return members[worker]
end

local function open(worker, counts, on_end)
  local ours, theirs = core.pair()
  if not ours then
    return nil, theirs
  end
  local outlet, code = core.outlet(ours, on_end)
  if not outlet then
    fd.close(ours)
    fd.close(theirs)
    return nil, code
  end
  enter(worker, outlet)
  if not send_end(worker, theirs, counts) then
    M.close(worker)
    return nil, "EMFILE"
  end
  return members[worker]
end

--- Goes on with the way that an earlier image of the master has opened; nil
--- where the worker has ended it since.
---@param worker mw.MasterWorker
---@param descriptor integer
---@param on_end fun()
---@return mw.PortMember?
function M.adopt(worker, descriptor, on_end)
  local outlet = core.outlet(descriptor, on_end)
  if not outlet then
    fd.close(descriptor)
    return nil
  end
  return enter(worker, outlet)
end

--- Whether no worker has a connection that it has not answered for.
---@return boolean
function M.are_quiet()
  for outlet in pairs(workers) do
    if outlet:pending() > 0 then
      return false
    end
  end
  return true
end

--- The worker as a member of ports; the way to it is opened where there is none.
---@param worker mw.MasterWorker
---@param counts boolean whether it is to tell how many connections it has
---@param on_end fun() it has ended its way
---@return mw.PortMember?
---@return string? code
function M.obtain(worker, counts, on_end)
  if members[worker] then
    return members[worker]
  end
  return open(worker, counts, on_end)
end

--- The worker as a member of ports; nil where there is no way to it.
---@param worker mw.MasterWorker
---@return mw.PortMember?
function M.member(worker)
  return members[worker]
end

--- The way to a worker; nil where there is none.
---@param worker mw.MasterWorker
---@return userdata?
function M.of(worker)
  local member = members[worker]
  return member and member.outlet
end

--- Whose way it is.
---@param outlet userdata
---@return mw.MasterWorker
function M.worker_at(outlet)
  return workers[outlet]
end

return M
