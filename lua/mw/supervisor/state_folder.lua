-- What a master leaves to the one after it, should it be killed: a folder with a
-- file that says which workers there are, and a socket at which they find who
-- takes them over. One master at a time has it.

local command_line = require "mw.process.command_line"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local identity = require "mw.supervisor.identity"
local json = require "mw.json"
local options = require "mw.options"
local process = require "mw.process"
local socket = require "mw.core.socket"
local uv = require "luv"

---@class mw.StateFolder
---@field path string
---@field private _directory integer
local StateFolder = {}
StateFolder.__index = StateFolder

local version = 1

local file_name, socket_name = "workers.json", "socket"
local folder_mode, file_mode = 448, 384 -- 0700, 0600

--- Where it is, by the option: true is a place beside the script.
---@param option true|string
---@param script string
---@return string
function StateFolder.place(option, script)
  if type(option) == "string" then
    return command_line.absolute(option)
  end
  return (command_line.absolute(script):gsub("[^/]*$", ".%0.state"))
end

local function failure(path, why)
  return errors.new("ERR_SUPERVISOR_STATE", ("ERR_SUPERVISOR_STATE: %s: %s"):format(path, why), { path = path })
end

-- Where others could write, they could name pids to us.
local function is_private(directory)
  local stat = uv.fs_fstat(directory)
  return stat ~= nil and stat.uid == process.getuid() and stat.mode & 18 == 0 -- 0022
end

-- The master that had the folder may have removed it meanwhile.
local function is_removed(path, directory)
  local here, there = uv.fs_fstat(directory), uv.fs_stat(path)
  return not there or here.ino ~= there.ino or here.dev ~= there.dev
end

--- Takes the folder, which is made where it is missing.
---@param path string
---@return mw.StateFolder?
---@return mw.Error? err
function StateFolder.open(path)
  uv.fs_mkdir(path, folder_mode)
  local directory, text, code = uv.fs_open(path, "r", 0)
  if not directory then
    return nil, errors.from_luv(text, code, "open " .. path, { path = path })
  end
  local why
  if not is_private(directory) then
    why = "the folder is another user's, or others may write there"
  elseif not fd.lock(directory) then
    why = "another master has this state: it runs the same script, or the option 'survive' names the same folder"
  elseif is_removed(path, directory) then
    fd.close(directory)
    return StateFolder.open(path)
  end
  if why then
    fd.close(directory)
    return nil, failure(path, why)
  end
  return setmetatable({ path = path, _directory = directory }, StateFolder)
end

-- However long its path is: that of a socket can't be.
local function within(directory, name)
  return ("/proc/self/fd/%d/%s"):format(directory, name)
end

-- The file ------------------------------------------------------------------------

---@class mw.StateOfWorker
---@field id integer
---@field slot integer
---@field generation integer
---@field pid integer
---@field start_time integer
---@field started_at integer
---@field ready_at integer?

---@class mw.State
---@field script string
---@field wanted integer
---@field workers_option integer from which `wanted` has come, or been scaled away
---@field generation integer
---@field restarts integer
---@field last_id integer the highest that any worker had
---@field workers mw.StateOfWorker[] in the order of their slots

-- JSON has no bytes that are no text.
local function as_text(path)
  return (path:gsub("[%%\x80-\xff]", function(byte)
    return ("%%%02x"):format(byte:byte())
  end))
end

--- The state as it stands in the file.
---@param state mw.State
---@return string
function StateFolder.encode(state)
  local copy = { version = version, boot_id = identity.boot_id() }
  for key, value in pairs(state) do
    copy[key] = value
  end
  copy.script, copy.workers = as_text(state.script), json.array(state.workers)
  return json.encode(copy) .. "\n"
end

local positive, whole = options.integer(1), options.integer(0)

local function absent_or_whole(value)
  return value ~= nil and whole(value) or nil
end

local worker_fields = {
  id = positive,
  slot = options.integer(1, 65535),
  generation = positive,
  pid = options.integer(2, 0x7fffffff),
  start_time = whole,
  started_at = whole,
  ready_at = absent_or_whole,
}

local fields = {
  wanted = options.integer(1, 65535),
  workers_option = positive,
  generation = positive,
  restarts = whole,
  last_id = whole,
  workers = options.table,
}

local function is_sound(value, checks)
  if type(value) ~= "table" then
    return false
  end
  for name, check in pairs(checks) do
    if check(value[name]) then
      return false
    end
  end
  return true
end

local function is_state(value)
  if not is_sound(value, fields) then
    return false
  end
  for _, worker in ipairs(value.workers) do
    if not is_sound(worker, worker_fields) then
      return false
    end
  end
  return true
end

--- What a text stands for; nil and why it is of no use.
---@param text string
---@param script string the one of this master
---@return mw.State?
---@return string? why
function StateFolder.decode(text, script)
  local value = json.decode(text)
  if type(value) ~= "table" or value.version == nil then
    return nil, "it is no state of a master"
  elseif value.version ~= version then
    return nil, ("it has version %s, and this master knows %d"):format(value.version, version)
  elseif value.boot_id ~= identity.boot_id() then
    return nil, "the machine was started anew since"
  elseif value.script ~= as_text(script) then
    return nil, "it is of another script, " .. tostring(value.script)
  elseif not is_state(value) then
    return nil, "it is damaged"
  end
  return value
end

local function read_all(path)
  local descriptor, text, code = uv.fs_open(path, "r", 0)
  if not descriptor then
    return nil, text, code
  end
  local stat = uv.fs_fstat(descriptor)
  local bytes
  bytes, text, code = uv.fs_read(descriptor, stat.size, 0)
  uv.fs_close(descriptor)
  return bytes, text, code
end

--- What the master before has written; nil where there was none, and why where
--- that is of no use.
---@param script string
---@return mw.State?
---@return string? why
function StateFolder:read(script)
  local bytes, text, code = read_all(within(self._directory, file_name))
  if not bytes then
    return nil, code ~= "ENOENT" and text or nil
  end
  return StateFolder.decode(bytes, script)
end

local function write_all(path, text)
  local descriptor, problem, code = uv.fs_open(path, "w", file_mode)
  if not descriptor then
    return nil, problem, code
  end
  local count
  count, problem, code = uv.fs_write(descriptor, text, 0)
  uv.fs_close(descriptor)
  if count and count < #text then
    return nil, "ENOSPC: no space left on device", "ENOSPC"
  end
  return count, problem, code
end

--- Puts a text in the place of what is written: who reads has one or the other.
---@param text string
---@return true? ok
---@return mw.Error? err
function StateFolder:write(text)
  local path = within(self._directory, file_name)
  local ok, problem, code = write_all(path .. ".new", text)
  if ok then
    ok, problem, code = uv.fs_rename(path .. ".new", path)
  end
  if not ok then
    return nil, errors.from_luv(problem, code, "write " .. self.path .. "/" .. file_name)
  end
  return true
end

-- The socket ----------------------------------------------------------------------

--- Listens at the socket, in the place of a master that is gone.
---@return integer? descriptor does not block
---@return string? code
function StateFolder:listen()
  local path = within(self._directory, socket_name)
  uv.fs_unlink(path)
  local descriptor, code = socket.bind_unix(path)
  if not descriptor then
    return nil, code
  end
  uv.fs_chmod(path, file_mode)
  local ok
  ok, code = socket.listen(descriptor, 511)
  if not ok then
    fd.close(descriptor)
    return nil, code
  end
  return descriptor
end

--- Connects to the master that has the folder now.
---@param path string
---@return integer? descriptor
---@return string? code
function StateFolder.connect(path)
  local directory, _, code = uv.fs_open(path, "r", 0)
  if not directory then
    return nil, code
  end
  local descriptor
  descriptor, code = socket.connect_unix(within(directory, socket_name))
  fd.close(directory)
  return descriptor, code
end

--- Removes all, and lets go of the folder: there is nothing to be left.
function StateFolder:close()
  for _, name in ipairs { file_name, socket_name } do
    uv.fs_unlink(within(self._directory, name))
  end
  uv.fs_rmdir(self.path) -- unless somebody has more there
  fd.close(self._directory)
end

return StateFolder
