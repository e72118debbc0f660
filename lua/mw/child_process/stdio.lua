-- The `stdio` option: what each descriptor of a child is, the pipes that this
-- takes, and the streams on our ends of them.

local handle_stream = require "mw.stream.handle"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local options = require "mw.options"
local socket = require "mw.core.socket"
local uv = require "luv"

local M = {}

-- As many descriptors as the engine places in a child.
local most_descriptors = 65536

local words = { pipe = true, overlapped = true, ignore = true, inherit = true, ipc = true }

---@class mw.StdioSlot
---@field kind "pipe"|"ignore"|"fd"|"ipc"
---@field fd? integer what the child inherits, for "fd"
---@field lent? any the stream or handle that this descriptor belongs to

local function slot_of_object(what, item, index)
  local number
  if type(item) == "userdata" and item.fileno then
    number = item:fileno()
  elseif type(item) == "table" and item.fileno then
    number = item:fileno()
  elseif type(item) == "table" then
    number = math.type(item.fd) == "integer" and item.fd or nil
  end
  if not number then
    errors.misuse(
      "%s: bad item %d of option 'stdio' (%s expected, got %s)",
      what,
      index,
      "'pipe', 'ignore', 'inherit', 'ipc', descriptor, or open stream or handle",
      options.show(item)
    )
  end
  return { kind = "fd", fd = number, lent = item }
end

local function slot(what, item, index)
  if item == nil then
    return { kind = index <= 3 and "pipe" or "ignore" }
  elseif item == "inherit" then
    return { kind = "fd", fd = index - 1 }
  elseif item == "overlapped" then
    return { kind = "pipe" }
  elseif type(item) == "string" and words[item] then
    return { kind = item }
  elseif type(item) == "number" and not options.integer(0, 0x7fffffff)(item) then
    return { kind = "fd", fd = math.tointeger(item) }
  end
  return slot_of_object(what, item, index)
end

local function as_list(what, value)
  if value == nil then
    return {}
  elseif type(value) == "table" then
    return value
  elseif words[value] and value ~= "ipc" then
    return { value, value, value }
  end
  errors.misuse("%s: bad option 'stdio' ('pipe', 'ignore', 'inherit' or a list expected, got %s)", what, options.show(value))
end

--- Turns the option into slots, the first one being descriptor 0.
---@param what string
---@param value any
---@return mw.StdioSlot[]
---@return integer? ipc the index of the channel
function M.parse(what, value)
  local list = as_list(what, value)
  local count, ipc = 3, nil
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > most_descriptors then
      errors.misuse("%s: bad option 'stdio' (list expected, got a table with the key %s)", what, options.show(key))
    end
    count = math.max(count, key)
  end
  local slots = {}
  for index = 1, count do
    slots[index] = slot(what, list[index], index)
    if slots[index].kind == "ipc" then
      if ipc then
        errors.misuse("%s: option 'stdio' has a second 'ipc' (ERR_IPC_ONE_PIPE)", what)
      end
      ipc = index
    end
  end
  return slots, ipc
end

-- Pipes for the standard three, so that the child can open them again by name
-- (/dev/stdout); a pair of sockets, which goes both ways, for all others.
-- Returns the child's end and ours, or nil and the error's name.
local function open_ends(slot_here, index)
  if slot_here.kind == "ipc" or index > 3 then
    return fd.socketpair()
  end
  local reading, writing = fd.pipe()
  if not reading or index == 1 then
    return reading, writing
  end
  return writing, reading
end

--- Opens what the slots need. On success each pipe has `child_end` and
--- `our_end`; else nothing stays open, and the error's name is returned.
---@param slots mw.StdioSlot[]
---@return boolean opened
---@return string? code
function M.open(slots)
  for index, here in ipairs(slots) do
    if here.kind == "pipe" or here.kind == "ipc" then
      local child_end, our_end = open_ends(here, index)
      if not child_end then
        M.close(slots)
        return false, our_end
      end
      here.child_end, here.our_end = child_end, our_end
    end
  end
  return true
end

local function close_end(here, name)
  if here[name] then
    fd.close(here[name])
    here[name] = nil
  end
end

--- Closes the child's ends, once it has them or could not be started.
---@param slots mw.StdioSlot[]
function M.close_child_ends(slots)
  for _, here in ipairs(slots) do
    close_end(here, "child_end")
  end
end

--- Closes all that open() has opened and nobody has taken.
---@param slots mw.StdioSlot[]
function M.close(slots)
  for _, here in ipairs(slots) do
    close_end(here, "child_end")
    close_end(here, "our_end")
  end
end

-- Both may go on using what listens, or takes datagrams: it must not block
-- either.
local function is_shared(number)
  local kind, listens = socket.kind(number)
  return listens or kind == "udp"
end

--- What the engine takes: the descriptor for each of the child's.
---@param slots mw.StdioSlot[]
---@return table fds
---@return table blocking
function M.descriptors(slots)
  local fds, blocking = { n = #slots }, {}
  for index, here in ipairs(slots) do
    fds[index] = here.child_end or here.fd or false
    blocking[index] = here.lent ~= nil and not is_shared(here.fd)
  end
  return fds, blocking
end

-- To how many children that run each object is lent.
local loans = setmetatable({}, { __mode = "k" })

-- The objects in the slots, each once.
local function lent_objects(slots)
  local objects = {}
  for _, here in ipairs(slots) do
    if here.lent then
      objects[here.lent] = true
    end
  end
  return pairs(objects)
end

local function stop_reading(object)
  if type(object) == "userdata" then
    if object.read_stop then
      object:read_stop()
    end
  elseif object._lend then
    object:_lend()
  elseif object.pause then
    object:pause()
  end
end

--- Stops our own reading from what is lent to the child: from now on every
--- byte is the child's.
---@param slots mw.StdioSlot[]
function M.lend(slots)
  for object in lent_objects(slots) do
    loans[object] = (loans[object] or 0) + 1
    stop_reading(object)
  end
end

local function is_loops(object)
  if type(object) == "table" then
    return object._take_back ~= nil
  end
  local kind = object.get_type and object:get_type()
  return kind == "tcp" or kind == "pipe"
end

-- Children get it blocking, and the loop can't use it so.
local function stop_blocking(object)
  local number = is_loops(object) and object:fileno()
  if number then
    fd.set_nonblocking(number, true)
  end
end

--- After the child has ended: what is lent to no other child is its owner's
--- alone again.
---@param slots mw.StdioSlot[]
function M.take_back(slots)
  for object in lent_objects(slots) do
    loans[object] = loans[object] > 1 and loans[object] - 1 or nil
    if not loans[object] then
      stop_blocking(object)
      if type(object) == "table" and object._take_back then
        object:_take_back()
      end
    end
  end
end

--- Writes out what `print` still holds, before a child writes to the same
--- place.
---@param slots mw.StdioSlot[]
function M.flush(slots)
  for _, here in ipairs(slots) do
    if here.kind == "fd" then
      io.stdout:flush()
      io.stderr:flush()
      return
    end
  end
end

local sides = {
  { writable = true },
  { readable = true },
  { readable = true },
}

--- Makes the streams on our ends of the pipes, by descriptor number.
---@param slots table<integer, mw.StdioSlot>
---@return table<integer, mw.HandleStream>
function M.streams(slots)
  local streams = {}
  for index, here in pairs(slots) do
    if here.kind == "pipe" then
      local handle = uv.new_pipe(false)
      assert(handle:open(here.our_end))
      here.our_end = nil
      streams[index - 1] = handle_stream.new(handle, sides[index] or { readable = true, writable = true })
    end
  end
  return streams
end

return M
