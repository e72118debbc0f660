-- Socket activation: descriptors that listen already, from the one who started
-- us. (sd_listen_fds(3))

local fd = require "mw.core.fd"
local uv = require "luv"

---@class mw.ListenFd
---@field fd integer for server:listen{ fd = … }
---@field name string of the unit's FileDescriptorName, "unknown" where it has none

local first_fd = 3

local found

-- The variables are for this process alone.
local function take_variable(name)
  local value = os.getenv(name)
  uv.os_unsetenv(name)
  return value
end

local function names_of(text)
  local names = {}
  for name in ((text or "") .. ":"):gmatch "([^:]*):" do
    names[#names + 1] = name ~= "" and name or "unknown"
  end
  return names
end

local function find()
  local pid = tonumber(take_variable "LISTEN_PID")
  local count = math.tointeger(tonumber(take_variable "LISTEN_FDS")) or 0
  local names = names_of(take_variable "LISTEN_FDNAMES")
  local list = {}
  for index = 1, pid == uv.os_getpid() and count or 0 do
    local number = first_fd + index - 1
    if not fd.claim(number) then
      break -- there are fewer
    end
    list[index] = { fd = number, name = names[index] or "unknown" }
  end
  return list
end

--- The descriptors that systemd, or another, has passed to this process, in
--- its order; an empty list where there are none. They become close-on-exec and
--- their variables are removed; a later call returns the same list.
---@return mw.ListenFd[]
local function listen_fds()
  found = found or find()
  return found
end

return { listen_fds = listen_fds }
