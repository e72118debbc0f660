-- A child that is no mwrun as far as its channel goes: a script that has the
-- bytes of it.

local children = require "spec.support.children"

local M = {}

local frame = [[
  -- A frame as it stands on the channel.
  local function frame(payload, kind, count, flags)
    return string.pack("<I4BBBB", #payload, kind or 0, count or 0, flags or 0, 0) .. payload
  end
]]

-- What such a script may use.
local prelude = frame
  .. [[
  local msgpack = require "mw.msgpack"
  local uv = require "luv"
  local pipe = uv.new_pipe(true)
  pipe:open(3)

  local function say(bytes, done)
    pipe:write(bytes, done)
  end

  -- With a descriptor, one end of a pair or what is given.
  local pair = uv.new_pipe(false)
  pair:open(uv.socketpair()[1])
  local function say_with_descriptor(bytes, handle)
    pipe:write2(bytes, handle or pair)
  end

  local function stay()
    uv.new_timer():start(60000, 0, function() end)
  end
]]

--- The bytes of a frame: payload, kind, number of descriptors, flags.
---@type fun(payload: string, kind?: integer, count?: integer, flags?: integer): string
M.frame = load(frame .. "return frame")()

--- Starts one with a piece of Lua. Its output is a pipe.
---@param code string
---@param opts? table options of spawn
---@return mw.Child
function M.start(code, opts)
  local all = { stdio = { "ignore", "pipe", "inherit", "ipc" } }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  return children.start_lua(prelude .. code, all)
end

--- Starts one that says these bytes and lives on.
---@param bytes string
---@param opts? table
---@return mw.Child
function M.say(bytes, opts)
  return M.start(("say(%q) stay()"):format(bytes), opts)
end

return M
