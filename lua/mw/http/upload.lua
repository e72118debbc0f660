-- Uploads: the parts of a form, its files written to disk while they come.

local errors = require "mw.error"
local multipart = require "mw.http.multipart"
local options = require "mw.options"
local task = require "mw.task"
local uv = require "luv"

local M = {}

local schema = {
  folder = options.name,
  max_file_size = options.size,
  max_files = options.size,
  max_fields = options.size,
  max_field_size = options.size,
}

local defaults = {
  max_file_size = 16 * 1024 * 1024,
  max_files = 16,
  max_fields = 256,
  max_field_size = 65536,
}

-- Calls a function of luv that takes a callback, and waits.
local function wait(syscall, fn, ...)
  local list = table.pack(...)
  local err, first, second = task.await("a file", function(done)
    list[list.n + 1] = done
    fn(table.unpack(list, 1, list.n + 1))
  end)
  if err then
    return nil, errors.from_luv(err, nil, syscall)
  end
  return first, second
end

local function too_large(what, limit)
  local text = ("ERR_HTTP_UPLOAD_TOO_LARGE: %s than %d"):format(what, limit)
  return errors.new("ERR_HTTP_UPLOAD_TOO_LARGE", text)
end

---@class mw.UploadedFile
---@field name string of the field
---@field filename string as the client says: no path to be trusted
---@field content_type string?
---@field path string where it is, to be moved or removed by the handler
---@field size integer

local Upload = {}
Upload.__index = Upload

local function begin_file(self, name, filename, headers)
  if #self.files >= self.max_files then
    return too_large("more files", self.max_files)
  end
  local fd, path = wait("mkstemp", uv.fs_mkstemp, self.folder .. "/upload-XXXXXX")
  if not fd then
    return path
  end
  self.fd = fd
  self.part = { name = name, filename = filename, content_type = headers["content-type"], path = path, size = 0 }
  table.insert(self.files, self.part)
end

local function begin_field(self, name)
  self.field_count = self.field_count + 1
  if self.field_count > self.max_fields then
    return too_large("more fields", self.max_fields)
  end
  self.part = { name = name, size = 0, pieces = {} }
end

local function begin_part(self, headers)
  local disposition = (headers["content-disposition"] or ""):match "^%s*[Ff][Oo][Rr][Mm]%-[Dd][Aa][Tt][Aa]%s*(;.*)$"
  local name = disposition and multipart.parameter(disposition, "name")
  if not name then
    return errors.new("ERR_HTTP_MULTIPART_INVALID", "ERR_HTTP_MULTIPART_INVALID: a part has no name")
  end
  local filename = multipart.parameter(disposition, "filename")
  if filename then
    return begin_file(self, name, filename, headers)
  end
  return begin_field(self, name)
end

local function take_data(self, bytes)
  local part = self.part
  local limit = self.fd and self.max_file_size or self.max_field_size
  part.size = part.size + #bytes
  if part.size > limit then
    return too_large(self.fd and "a file larger" or "a field larger", limit)
  elseif not self.fd then
    table.insert(part.pieces, bytes)
    return nil
  end
  local _, err = wait("write", uv.fs_write, self.fd, bytes, -1)
  return err
end

local function close_file(self)
  if self.fd then
    uv.fs_close(self.fd)
    self.fd = nil
  end
end

local function end_part(self)
  local part, is_file = self.part, self.fd ~= nil
  close_file(self)
  self.part = nil
  if is_file then
    return nil
  end
  local text, known = table.concat(part.pieces), self.fields[part.name]
  if type(known) == "table" then
    table.insert(known, text)
  else
    self.fields[part.name] = known and { known, text } or text
  end
end

-- Nothing of it stays where it does not come whole.
local function drop(self)
  close_file(self)
  for _, file in ipairs(self.files) do
    uv.fs_unlink(file.path)
  end
end

local function new(opts)
  local self = setmetatable({ fields = {}, files = {}, field_count = 0 }, Upload)
  self.folder = opts.folder or os.getenv "TMPDIR" or "/tmp"
  for name, default in pairs(defaults) do
    self[name] = opts[name] or default
  end
  return self
end

-- Reads the request to its end; the error where it can't be taken.
local function receive(self, req, boundary)
  local parser = multipart.new(boundary, {
    on_part = function(headers)
      return begin_part(self, headers)
    end,
    on_data = function(bytes)
      return take_data(self, bytes)
    end,
    on_end = function()
      return end_part(self)
    end,
  })
  while true do
    local bytes, err = req:read()
    if not bytes then
      return err or parser:finish()
    end
    err = parser:feed(bytes)
    if err then
      return err
    end
  end
end

--- Waits for a form with files (multipart/form-data). Files are written into a
--- folder while they come, under names of their own; the handler moves or
--- removes them. Where the form does not come whole, or is larger than the
--- options allow (ERR_HTTP_UPLOAD_TOO_LARGE), nothing of it stays. Options: folder
--- (that for temporary files), max_file_size (16 MiB) max_files (16) max_fields
--- (256) max_field_size (65536).
---@param req mw.HttpRequest
---@param opts? table
---@return { fields: table<string, string|string[]>, files: mw.UploadedFile[] }?
---@return mw.Error? err
function M.read(req, opts)
  options.optional("multipart", "options", opts, options.table)
  options.check("multipart", opts or {}, schema)
  local boundary = multipart.boundary_of(req:get_header "Content-Type")
  if not boundary then
    return nil, errors.new("ERR_HTTP_MULTIPART_INVALID", "ERR_HTTP_MULTIPART_INVALID: the body is no multipart/form-data")
  end
  local self <close> = setmetatable(new(opts or {}), Upload)
  local err = receive(self, req, boundary)
  if err then
    return nil, err
  end
  self.is_whole = true
  return { fields = self.fields, files = self.files }
end

-- Also where the handler's task ends while it waits.
Upload.__close = function(self)
  if not self.is_whole then
    drop(self)
  end
end

return M
