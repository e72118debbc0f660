-- MessagePack and Lua values, exact in both directions: integers and floats
-- stay what they are, strings may hold any bytes, keys may be strings,
-- numbers and booleans.
--
-- A table with the keys 1..n is an array, every other one a map; an empty one
-- is a map too unless it is marked by `json.array`, as a decoded empty array
-- is. A marked table is an array with null for its holes, as in JSON.

local core = require "mw.core.msgpack"
local errors = require "mw.error"

local M = {}

--- Gives the bytes of a value. Raises, naming the place inside the value, for
--- what MessagePack can't hold: functions, userdata, threads, keys of other
--- kinds, tables that contain themselves or are nested deeper than 1000; and
--- for more than 256 MiB. Metamethods are not asked.
---@param value any null is `mw.null`
---@return string bytes
function M.encode(value)
  if value == nil then
    errors.misuse("msgpack.encode: bad argument 'value' (value expected, got nil)")
  end
  local bytes, problem = core.encode(value)
  if not bytes then
    errors.misuse("msgpack.encode: " .. problem)
  end
  return bytes
end

--- Gives the value that is all of `bytes`. Binary data becomes a string, an
--- unsigned integer beyond 64 bits with sign a float; of equal keys the last
--- one counts. Extension types are refused, and so is a large map whose keys
--- are numbers chosen to make Lua slow.
---@param bytes string
---@return any value nil where the bytes are no message; nil is `mw.null`
---@return mw.Error? err ERR_INVALID_MSGPACK, with `offset`: byte 1 is the first
function M.decode(bytes)
  if type(bytes) ~= "string" then
    errors.misuse("msgpack.decode: bad argument 'bytes' (string expected, got %s)", type(bytes))
  end
  local value, problem, offset = core.decode(bytes)
  if value == nil then
    return nil, errors.new("ERR_INVALID_MSGPACK", "ERR_INVALID_MSGPACK: " .. problem, { offset = offset })
  end
  return value
end

return M
