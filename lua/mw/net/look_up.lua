-- From names of hosts to addresses, as a socket is told to do it.

local address = require "mw.net.address"
local errors = require "mw.error"
local options = require "mw.options"
local system = require "mw.look_up"
local tick = require "mw.tick"

---@alias mw.Lookup fun(host: string, opts: table, done: fun(err: any, found: string|mw.HostAddress[]?, family: integer?))

local M = {}

local function check_answer(host, list)
  for _, entry in ipairs(list) do
    if type(entry) ~= "table" or address.is_ip(entry.address) == 0 then
      local message = "ERR_INVALID_IP_ADDRESS: the lookup of %s gave %s"
      local shown = options.show(type(entry) == "table" and entry.address or entry)
      return errors.new("ERR_INVALID_IP_ADDRESS", message:format(host, shown), { hostname = host })
    end
    entry.family = address.is_ip(entry.address)
  end
  return #list == 0 and system.not_found(host) or nil
end

-- A function of the user's answers with one address or with a list, and at
-- once or later.
local function ask_user(host, opts, done)
  opts.lookup(host, { family = opts.family or 0, hints = opts.hints, all = true }, function(err, found)
    if err ~= nil then
      return tick.add(done, err)
    end
    local list = {}
    for index, entry in ipairs(type(found) == "table" and found or { found }) do
      list[index] = type(entry) == "table" and { address = entry.address } or { address = entry }
    end
    tick.add(done, check_answer(host, list), list)
  end)
end

--- Finds the addresses of a host, in the system's order; one that is an address
--- already is its own answer. `done(err, addresses)` is called later.
---@param host string
---@param opts { family?: 0|4|6, hints?: table<string, boolean>, lookup?: mw.Lookup }
---@param done fun(err: any, addresses: mw.HostAddress[]?)
function M.look_up(host, opts, done)
  local family = address.is_ip(host)
  if family ~= 0 then
    tick.add(done, nil, { { address = host, family = family } })
  elseif opts.lookup then
    ask_user(host, opts, done)
  else
    local wanted = opts.family ~= 0 and opts.family or nil
    system.all(host, wanted, opts.hints or { addrconfig = not wanted }, done)
  end
end

return M
