-- From names of hosts to addresses, by the system's resolver.
-- (https://nodejs.org/api/dns.html#dnslookuphostname-options-callback)

local errors = require "mw.error"
local socket = require "mw.core.socket"
local tick = require "mw.tick"
local uv = require "luv"

---@class mw.HostAddress
---@field address string
---@field family 4|6

local M = {}

local families = { [4] = "inet", [6] = "inet6" }

-- What getaddrinfo(3) says of a name that has no address.
local not_found = { EAI_NONAME = true, EAI_NODATA = true }

--- The error for a name that has no address, as Node has it.
---@param host string
---@return mw.Error
function M.not_found(host)
  local message = ("ENOTFOUND: there is no host of this name, getaddrinfo %s"):format(host)
  return errors.new("ENOTFOUND", message, { errno = -3008, syscall = "getaddrinfo", hostname = host })
end

local function failure(text, host)
  local code = text:match "^[%u_]+" or "UNKNOWN"
  if not_found[code] then
    return M.not_found(host)
  end
  return errors.system(code, "getaddrinfo " .. host, { syscall = "getaddrinfo", hostname = host })
end

--- The family of a numeric address, "%scope" included; nil for any other text.
---@param text string
---@return 4|6|nil
function M.family(text)
  local family = socket.family(text)
  return family ~= 0 and family or nil
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

--- Asks the system for all addresses of a name, in its order; never answers
--- before this call has returned.
---@param host string
---@param family 4|6|nil of this family only
---@param hints table<string, boolean> of getaddrinfo(3): addrconfig, v4mapped, all
---@param done fun(err: mw.Error?, addresses: mw.HostAddress[]?) ENOTFOUND where there is none
function M.all(host, family, hints, done)
  local request = { socktype = "stream", family = families[family] }
  for name, value in pairs(hints) do
    request[name] = value
  end
  local asked, text = uv.getaddrinfo(host, nil, request, function(err, found)
    if err or #found == 0 then
      return done(failure(err or "EAI_NONAME", host))
    end
    done(nil, unique(found))
  end)
  if not asked then
    -- A name that is never sent to a resolver, such as one that is too long.
    tick.add(done, failure(text, host))
  end
end

--- Finds the first address of a host, never before this call has returned. A
--- numeric address is its own, of whatever family it is.
---@param host string
---@param family 4|6
---@param callback fun(err: mw.Error?, address: string?, family: 4|6|nil) ENOTFOUND where there is none
function M.look_up(host, family, callback)
  local own_family = M.family(host)
  if own_family then
    return tick.add(callback, nil, host, own_family)
  end
  M.all(host, family, {}, function(err, addresses)
    if err then
      return callback(err)
    end
    callback(nil, addresses[1].address, addresses[1].family)
  end)
end

return M
