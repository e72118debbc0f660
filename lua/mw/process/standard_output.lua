-- Standard output and error as streams. A write goes out at once, after what
-- `print` and `io.write` still hold, and waits for a slow reader: so nothing
-- changes its order and nothing is lost at the exit. (Node: pipes and files
-- are synchronous too, on Linux.)

local Writable = require "mw.stream.writable"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local fd = require "mw.core.fd"

---@class mw.StandardOutput: mw.Writable
local StandardOutput = emitter.class("mw.process.stdout", Writable)

function StandardOutput:_write(chunk, done)
  self._file:flush()
  local ok, code = fd.write_all(self.fd, chunk)
  done(not ok and errors.system(code, "write " .. self._name) or nil)
end

--- Has no descriptor of its own to close: the C library's stream keeps it.
function StandardOutput:_destroy(done)
  done()
end

---@param number integer
---@param name string
---@param file file*
---@return mw.StandardOutput
local function new(number, name, file)
  local self = setmetatable({ fd = number, _name = name, _file = file }, StandardOutput)
  self.is_tty = fd.kind(number) == "tty"
  self:_init_writable()
  return self
end

return { new = new }
