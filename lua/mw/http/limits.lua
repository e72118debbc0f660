-- What a server keeps to.

local options = require "mw.options"

local M = {}

--- The options of a server.
M.schema = {
  max_header_size = options.integer(1),
  max_headers = options.integer(1),
  max_body = options.size,
  max_connections = options.size,
  headers_timeout = options.size,
  request_timeout = options.size,
  send_timeout = options.size,
  keep_alive_timeout = options.size,
  drain_timeout = options.size,
  high_water_mark = options.integer(1),
}

local defaults = {
  max_header_size = 16384,
  max_headers = 100,
  max_body = math.huge,
  max_connections = 0,
  headers_timeout = 60000,
  request_timeout = 300000,
  send_timeout = 60000,
  keep_alive_timeout = 5000,
  drain_timeout = 5000,
}

--- All limits, as the engine takes them: what is none is as large as it gets,
--- or 0.
---@param opts table checked
---@return table<string, integer>
function M.of(opts)
  local limits = {}
  for name, default in pairs(defaults) do
    local value = opts[name] or default
    local whole = value < 2 ^ 53 and math.ceil(value)
    limits[name] = whole or (name == "max_body" and math.maxinteger) or 0
  end
  return limits
end

return M
