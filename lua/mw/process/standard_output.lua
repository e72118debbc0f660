-- Standard output and error as streams. A write goes out at once, after what
-- `print` and `io.write` still hold, and waits for a slow reader: so nothing
-- changes its order and nothing is lost at the exit. (Node: pipes and files
-- are synchronous too, on Linux.)

local Writable = require "mw.stream.writable"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local fd = require "mw.core.fd"
local start = require "mw.start"
local system = require "mw.core.system"

---@class mw.StandardOutput: mw.Writable
---@field fd integer 1 or 2
---@field is_tty boolean whether it is a terminal
local StandardOutput = emitter.class("mw.process.stdout", Writable)
StandardOutput._outlives_pipes = true

-- Failures that nobody wants to know: we were started without it.
local unheard = { EBADF = true }

function StandardOutput:_write(chunk, done)
  local ok, code = system.flush_stdout()
  if ok or self.fd ~= 1 then
    ok, code = fd.write_all(self.fd, chunk)
  end
  local failed = not ok and not unheard[code]
  done(failed and errors.system(code, "write " .. self._name) or nil)
end

--- Has no descriptor of its own to close: the C library's stream keeps it.
function StandardOutput:_destroy(done)
  done()
end

---@param number integer
---@param name string
---@return mw.StandardOutput
local function new(number, name)
  local self = setmetatable({ fd = number, _name = name }, StandardOutput)
  start.run(function()
    self.is_tty = fd.kind(number) == "tty"
  end)
  self:_init_writable()
  return self
end

-- From now on what is written to a reader who is gone is lost, and no error: for
-- who outlives his readers.
local function outlive_readers()
  unheard.EPIPE = true
end

return { new = new, outlive_readers = outlive_readers }
