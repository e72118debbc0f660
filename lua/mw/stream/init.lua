-- Streams: the door. Streams over processes, sockets and standard input and
-- output come ready made; these constructors make others.

local Duplex = require "mw.stream.duplex"
local Readable = require "mw.stream.readable"
local Writable = require "mw.stream.writable"
local options = require "mw.options"

local M = { Readable = Readable, Writable = Writable, Duplex = Duplex }

local readable_schema = {
  read = options.callback,
  destroy = options.callback,
  high_water_mark = options.integer(1),
}

local writable_schema = {
  write = options.callback,
  final = options.callback,
  destroy = options.callback,
  high_water_mark = options.integer(1),
}

local duplex_schema = {
  read = options.callback,
  write = options.callback,
  final = options.callback,
  destroy = options.callback,
  high_water_mark = options.integer(1),
}

local function build(what, class, schema, opts)
  opts = opts or {}
  options.argument(what, "options", opts, options.table)
  options.check(what, opts, schema)
  local self = setmetatable({}, class)
  self._read = opts.read or class._read or function() end
  self._write = opts.write or class._write or function(_, _, done)
    done()
  end
  self._final = opts.final or class._final
  self._destroy = opts.destroy or class._destroy
  if class._init_readable then
    self:_init_readable(opts.high_water_mark)
  end
  if class._init_writable then
    self:_init_writable(opts.high_water_mark)
  end
  return self
end

--- Makes a readable stream. `read(self)` is called when it wants data, and
--- answers with `self:push(chunk)`, `self:push(nil)` at the end.
---@param opts? { read?: function, destroy?: function, high_water_mark?: integer }
---@return mw.Readable
function M.readable(opts)
  return build("stream.readable", Readable, readable_schema, opts)
end

--- Makes a writable stream. `write(self, chunk, done)` takes a chunk and calls
--- `done([err])`; `final(self, done)` runs before `finish`.
---@param opts? { write?: function, final?: function, destroy?: function, high_water_mark?: integer }
---@return mw.Writable
function M.writable(opts)
  return build("stream.writable", Writable, writable_schema, opts)
end

--- Makes a stream that is both.
---@param opts? table the options of both
---@return mw.Duplex
function M.duplex(opts)
  return build("stream.duplex", Duplex, duplex_schema, opts)
end

return M
