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

local function nothing() end

local function take(_, _, done)
  done()
end

local function build(what, class, schema, opts)
  opts = opts or {}
  options.argument(what, "options", opts, options.table)
  options.check(what, opts, schema)
  local self = setmetatable({}, class)
  self._read = opts.read or nothing
  self._write = opts.write or take
  self._final = opts.final
  self._destroy = opts.destroy and function(stream, done, err)
    opts.destroy(stream, err, done)
  end
  if class._init_readable then
    self:_init_readable(opts.high_water_mark)
  end
  if class._init_writable then
    self:_init_writable(opts.high_water_mark)
  end
  return self
end

---@class mw.ReadableOptions
---@field read? fun(self: mw.Readable)
---@field destroy? fun(self: mw.Readable, err: any, done: fun(err: any))
---@field high_water_mark? integer bytes, 65536 where absent

---@class mw.WritableOptions
---@field write? fun(self: mw.Writable, chunk: string, done: fun(err: any)) where absent, all is taken and nothing kept
---@field final? fun(self: mw.Writable, done: fun(err: any))
---@field destroy? fun(self: mw.Writable, err: any, done: fun(err: any))
---@field high_water_mark? integer bytes, 65536 where absent

--- Makes a readable stream. `read(self)` is called when it wants data, and
--- answers, at once or later, with `self:push(chunk)`, or `self:push(nil)` at the
--- end; after each answer it is called again. Without it, push is called from
--- outside. `destroy(self, err, done)` frees what the stream holds, then calls
--- `done([err])`; `close` comes after that. (Node: new stream.Readable)
---@param opts? mw.ReadableOptions
---@return mw.Readable
function M.readable(opts)
  return build("stream.readable", Readable, readable_schema, opts)
end

--- Makes a writable stream. `write(self, chunk, done)` takes a chunk and calls
--- `done([err])` once; then comes the next. `final(self, done)` runs before
--- `finish`. `destroy` is as of readable(). (Node: new stream.Writable)
---@param opts? mw.WritableOptions
---@return mw.Writable
function M.writable(opts)
  return build("stream.writable", Writable, writable_schema, opts)
end

--- Makes a stream that is both, each side ending for itself.
--- (Node: new stream.Duplex)
---@param opts? mw.ReadableOptions|mw.WritableOptions the options of both
---@return mw.Duplex
function M.duplex(opts)
  return build("stream.duplex", Duplex, duplex_schema, opts)
end

return M
