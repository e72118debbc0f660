-- Children that stay when this process replaces its own program: what the next
-- image of it must know of each, and how it goes on with it.

local Child = require "mw.child_process.child"
local core = require "mw.core.process"
local errors = require "mw.error"
local stdio = require "mw.child_process.stdio"
local strangers = require "mw.core.stranger"

local M = {}

---@class mw.ChildHeritage all of it can be encoded; descriptors are numbers
---@field pid integer
---@field file string
---@field args string[] with argv[0]
---@field killed boolean
---@field stranger { fd: integer }? where it is no child of this process: what stands for it
---@field channel mw.ChannelHeritage? nil where it has ended
---@field streams { number: integer, fd: integer }[] that are open

--- Whether nothing is under way between it and us but what the kernel has.
---@param child mw.Child
---@return boolean
function M.is_quiet(child)
  if not child._process or child.channel and not child.channel:is_quiet() then
    return false
  end
  for _, stream in pairs(child.stdio) do
    if stream.readable_side and stream:readable_length() > 0 then
      return false
    end
  end
  return true
end

--- What is to be known of a child that is quiet.
---@param child mw.Child
---@return mw.ChildHeritage
function M.of(child)
  local streams = {}
  for number, stream in pairs(child.stdio) do
    local fd = stream:fileno()
    streams[#streams + 1] = fd and { number = number, fd = fd }
  end
  return {
    pid = child.pid,
    file = child.spawn_file,
    args = child.spawn_args,
    killed = child.killed,
    stranger = child.is_stranger and { fd = child._process:fileno() } or nil,
    channel = child.channel and child.channel:heritage(),
    streams = streams,
  }
end

--- The channel over a connection, as of a child of which there is nothing else.
---@param descriptor integer the channel's from then on
---@return mw.Child
function M.connected(descriptor)
  local child = Child.new("", {})
  child:_open_channel(descriptor, {})
  return child
end

local function slots_of(streams)
  local slots = {}
  for _, stream in ipairs(streams) do
    slots[stream.number + 1] = { kind = "pipe", our_end = stream.fd }
  end
  return slots
end

-- How one has ended that is no child of ours, nobody tells us.
local function watch(child, from)
  local function ended(exit_code, signal)
    child:_ended(exit_code, signal)
  end
  if from.stranger then
    child.is_stranger = true
    return strangers.watch(from.stranger.fd, from.pid, ended)
  end
  return core.adopt(from.pid, ended)
end

--- Goes on with a child: it emits what comes from now on.
---@param from mw.ChildHeritage its descriptors are the child's from then on
---@return mw.Child
function M.adopt(from)
  local child = Child.new(from.file, from.args)
  local handle, code = watch(child, from)
  if not handle then
    error(errors.system(code, ("adopt %d"):format(from.pid)), 0)
  end
  child._process, child.pid, child.killed = handle, from.pid, from.killed
  child:_set_streams(stdio.streams(slots_of(from.streams)))
  if from.channel then
    child:_open_channel(from.channel.fd, from.channel)
  end
  return child
end

return M
