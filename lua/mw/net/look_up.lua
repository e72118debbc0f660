-- From names of hosts to addresses.

local address = require "mw.net.address"
local errors = require "mw.error"
local options = require "mw.options"
local tick = require "mw.tick"
local uv = require "luv"

---@class mw.HostAddress
---@field address string
---@field family 4|6

---@alias mw.Lookup fun(host: string, opts: table, done: fun(err: any, found: string|mw.HostAddress[]?, family: integer?))

local M = {}

-- Node's names and numbers of what getaddrinfo(3) says.
local not_found = { EAI_NONAME = true, EAI_NODATA = true }

local function failure(text, host)
  local code = text:match "^[%u_]+" or "UNKNOWN"
  if not_found[code] then
    local message = ("ENOTFOUND: there is no host of this name, getaddrinfo %s"):format(host)
    return errors.new("ENOTFOUND", message, { errno = -3008, syscall = "getaddrinfo", hostname = host })
  end
  local err = errors.system(code, "getaddrinfo " .. host, { hostname = host })
  err.syscall = "getaddrinfo"
  return err
end

-- luv gives an address once for each kind of socket that it can be used for.
local function unique(found)
  local list, seen = {}, {}
  for _, entry in ipairs(found) do
    if not seen[entry.addr] then
      seen[entry.addr] = true
      list[#list + 1] = { address = entry.addr, family = entry.family == "inet6" and 6 or 4 }
    end
  end
  return list
end

local families = { [4] = "inet", [6] = "inet6" }

local function hints_of(opts)
  local hints = { socktype = "stream", family = families[opts.family] }
  for name, value in pairs(opts.hints or { addrconfig = not hints.family }) do
    hints[name] = value
  end
  return hints
end

local function ask_system(host, opts, done)
  local asked, text = uv.getaddrinfo(host, nil, hints_of(opts), function(err, found)
    if err or #found == 0 then
      return done(failure(err or "EAI_NONAME", host))
    end
    done(nil, unique(found))
  end)
  if not asked then
    tick.add(done, failure(text, host))
  end
end

local function check_answer(host, list)
  for _, entry in ipairs(list) do
    if type(entry) ~= "table" or address.is_ip(entry.address) == 0 then
      local message = "ERR_INVALID_IP_ADDRESS: the lookup of %s gave %s"
      local shown = options.show(type(entry) == "table" and entry.address or entry)
      return errors.new("ERR_INVALID_IP_ADDRESS", message:format(host, shown), { hostname = host })
    end
    entry.family = address.is_ip(entry.address)
  end
  return #list == 0 and failure("EAI_NONAME", host) or nil
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
    ask_system(host, opts, done)
  end
end

return M
