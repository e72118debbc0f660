-- Crash records: one file a crash, with all that is known of it.

local errors = require "mw.error"
local options = require "mw.options"
local uv = require "luv"

local M = {}

local directory_mode = 448 -- 0700: there may be anything in a message

local function section(parts, title, lines)
  if #lines > 0 then
    parts[#parts + 1] = ("\n%s:\n  %s\n"):format(title, table.concat(lines, "\n"):gsub("\n", "\n  "))
  end
end

local function field(parts, name, value)
  if value ~= nil then
    parts[#parts + 1] = ("%s: %s\n"):format(name, value)
  end
end

---@class mw.Crash
---@field why string a sentence
---@field time integer seconds since 1970
---@field id integer
---@field pid integer?
---@field slot integer
---@field generation integer
---@field uptime integer milliseconds
---@field code integer?
---@field signal string?
---@field memory integer? bytes
---@field lua_heap integer? bytes
---@field requests integer?
---@field traceback string?
---@field output string[]? the last lines
---@field messages any[]? the last ones that it had sent

local fields = { "pid", "slot", "generation", "uptime", "code", "signal", "memory", "lua_heap", "requests" }

--- The text of a record.
---@param crash mw.Crash
---@return string
function M.format(crash)
  local parts = { crash.why, "\n\n" }
  field(parts, "time", os.date("!%Y-%m-%dT%H:%M:%SZ", crash.time))
  for _, name in ipairs(fields) do
    field(parts, name, crash[name])
  end
  section(parts, "traceback", { crash.traceback })
  section(parts, "last output", crash.output or {})
  local messages = {}
  for index, message in ipairs(crash.messages or {}) do
    messages[index] = type(message) == "table" and M.describe(message) or options.show(message)
  end
  section(parts, "last messages", messages)
  return table.concat(parts)
end

local longest_message = 1000

--- A message as one line.
---@param message table
---@return string
function M.describe(message)
  local ok, text = pcall(require("mw.json").encode, message)
  return (ok and text or options.show(message)):sub(1, longest_message)
end

local function open_new(path)
  local descriptor, text, code = uv.fs_open(path, "wx", 384) -- 0600
  if not descriptor then
    return nil, errors.from_luv(text, code, "open " .. path, { path = path })
  end
  return descriptor
end

--- Writes a record into a folder, which is made where it is missing.
---@param directory string
---@param crash mw.Crash
---@return string? path
---@return mw.Error? err
function M.write(directory, crash)
  uv.fs_mkdir(directory, directory_mode)
  local stamp = os.date("!%Y%m%dT%H%M%S", crash.time)
  local path = ("%s/crash-%s-%d-%s.txt"):format(directory, stamp, crash.id, crash.pid or "none")
  local descriptor, err = open_new(path)
  if not descriptor then
    return nil, err
  end
  local count, text, code = uv.fs_write(descriptor, M.format(crash))
  uv.fs_close(descriptor)
  if not count then
    return nil, errors.from_luv(text, code, "write " .. path, { path = path })
  end
  return path
end

return M
