-- From the name of a host to its address. (https://nodejs.org/api/dns.html#dnslookuphostname-options-callback)

local errors = require "mw.error"
local socket = require "mw.core.socket"
local tick = require "mw.tick"
local uv = require "luv"

local M = {}

local families = { [4] = "inet", [6] = "inet6" }

-- What getaddrinfo(3) says of a name that has no address.
local not_found = { EAI_NONAME = true, EAI_NODATA = true }

local function refusal(text, host)
  local code = text:match "^[%u_]+"
  local err = errors.system(code, "getaddrinfo " .. host, { hostname = host })
  if not_found[code] then
    err.code, err.errno = "ENOTFOUND", -3008
    err.message = ("ENOTFOUND: there is no host of this name, getaddrinfo %s"):format(host)
  end
  err.syscall = "getaddrinfo"
  return err
end

--- The family of a numeric address, "%scope" included; nil for any other text.
---@param text string
---@return 4|6|nil
function M.family(text)
  local family = socket.family(text)
  return family ~= 0 and family or nil
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
  local hints = { family = families[family], socktype = "dgram" }
  local request, text = uv.getaddrinfo(host, nil, hints, function(failure, found)
    if failure then
      return callback(refusal(failure, host))
    end
    callback(nil, found[1].addr, family)
  end)
  if not request then
    -- A name that is never sent to a resolver, such as one that is too long.
    tick.add(callback, refusal(text, host))
  end
end

return M
