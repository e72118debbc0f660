-- Files of a folder, as a handler. The kernel sends them; nothing outside of the
-- folder is reached, by no name and by no link.

local date = require "mw.http.date"
local errors = require "mw.error"
local options = require "mw.options"
local query = require "mw.http.query"
local task = require "mw.task"
local types = require "mw.http.types"
local uv = require "luv"

local M = {}

local schema = {
  index = options.name,
  max_age = options.integer(0),
  hidden = options.boolean,
}

-- Calls a function of luv that takes a callback, and waits.
local function wait(fn, ...)
  local list = table.pack(...)
  return task.await("a file", function(done)
    list[list.n + 1] = function(err, value)
      done(value, err)
    end
    fn(table.unpack(list, 1, list.n + 1))
  end)
end

-- The path below the folder; nil for one that is none of its files.
local function path_of(self, req)
  local path = query.unescape((req.path:gsub("%+", "%%2B")))
  if path:sub(1, 1) ~= "/" or path:find "[%z\\]" then
    return nil
  end
  for piece in path:gmatch "[^/]+" do
    if piece == ".." or piece == "." or piece:sub(1, 1) == "." and not self.hidden then
      return nil
    end
  end
  return path:sub(-1) == "/" and path .. self.index or path
end

local function is_inside(self, path)
  return path:sub(1, #self.folder + 1) == self.folder .. "/" or self.folder == "/"
end

-- Never waits for the other end of a FIFO.
local how_to_open = uv.constants.O_RDONLY | uv.constants.O_NONBLOCK

-- Links are followed first, so that what is opened is what was looked at.
local function open(self, path)
  local real = wait(uv.fs_realpath, self.folder .. path)
  if not real or not is_inside(self, real) then
    return nil
  end
  local fd = wait(uv.fs_open, real, how_to_open | (uv.constants.O_NOFOLLOW or 0), 0)
  local stat = fd and wait(uv.fs_fstat, fd)
  if stat and stat.type == "file" then
    return fd, stat
  elseif fd then
    uv.fs_close(fd)
  end
  return nil, nil, stat and stat.type == "directory"
end

local function names_tag(header, tag)
  for one in header:gmatch "[^,%s]+" do
    if one == "*" or one:gsub("^W/", "") == tag:gsub("^W/", "") then
      return true
    end
  end
  return false
end

local function is_unchanged(req, tag, modified)
  local tags = req:get_header "If-None-Match"
  if tags then
    return names_tag(tags, tag)
  end
  return req:get_header "If-Modified-Since" == modified
end

-- The bytes that are asked for: offset and length; false where there are none
-- such; nothing where it is all of it. Of several ranges none is served.
local function range_of(req, size, tag, modified)
  local header = req:get_header "Range"
  local condition = req:get_header "If-Range"
  local first, last = (header or ""):match "^bytes=(%d*)-(%d*)$"
  if not first or first .. last == "" or #first > 15 or #last > 15 then
    return nil
  elseif condition and condition ~= tag and condition ~= modified then
    return nil
  elseif first == "" then
    local count = math.min(tonumber(last), size)
    return count > 0 and size - count, count
  end
  local offset = tonumber(first)
  local ending = math.min(tonumber(last) or size - 1, size - 1)
  if offset >= size then
    return false
  elseif offset > ending then
    return nil
  end
  return offset, ending - offset + 1
end

local function finish(res, status, fd)
  uv.fs_close(fd)
  res.status_code = status
  res:finish()
end

local function send(self, req, res, fd, stat, path)
  local modified = date.format(stat.mtime.sec)
  local tag = ('"%x-%x.%x"'):format(stat.size, stat.mtime.sec, stat.mtime.nsec)
  res:set_header("ETag", tag):set_header("Last-Modified", modified):set_header("Accept-Ranges", "bytes")
  if self.max_age then
    res:set_header("Cache-Control", ("public, max-age=%d"):format(self.max_age))
  end
  if is_unchanged(req, tag, modified) then
    return finish(res, 304, fd)
  end
  local offset, length = range_of(req, stat.size, tag, modified)
  if offset == false then
    res:set_header("Content-Range", ("bytes */%d"):format(stat.size))
    return finish(res, 416, fd)
  elseif offset then
    res.status_code = 206
    res:set_header("Content-Range", ("bytes %d-%d/%d"):format(offset, offset + length - 1, stat.size))
  end
  res:set_header("Content-Type", types.of(path))
  if not res:_finish_with_file(fd, offset or 0, length or stat.size) then
    uv.fs_close(fd)
  end
end

local function serve(self, req, res, next_handler)
  if req.method ~= "GET" and req.method ~= "HEAD" then
    if next_handler then
      return next_handler()
    end
    res:set_header("Allow", "GET, HEAD")
    res.status_code = 405
    return res:finish()
  end
  local path = path_of(self, req)
  local fd, stat, is_folder
  if path then
    fd, stat, is_folder = open(self, path)
  end
  if fd then
    return send(self, req, res, fd, stat, path)
  elseif is_folder then
    res:set_header("Location", req.path:gsub("^/+", "/") .. "/")
    res.status_code = 301
  elseif next_handler then
    return next_handler()
  else
    res.status_code = 404
  end
  res:finish()
end

--- Makes a handler that answers with the files of a folder: their type by the
--- name, ETag and Last-Modified, one range. Without such a file the answer is
--- 404, or the next handler's in a router. Options: index ("index.html"),
--- max_age (seconds for Cache-Control), hidden (whether names that begin with a
--- dot are served).
---@param folder string
---@param opts? { index?: string, max_age?: integer, hidden?: boolean }
---@return fun(req: mw.HttpRequest, res: mw.HttpResponse, next?: fun())
function M.new(folder, opts)
  options.argument("static", "folder", folder, options.name)
  options.optional("static", "options", opts, options.table)
  options.check("static", opts or {}, schema)
  local real, text, code = uv.fs_realpath(folder)
  if not real then
    error(errors.from_luv(text, code, "realpath", { path = folder }))
  end
  local self = { folder = real, index = "index.html" }
  for name, value in pairs(opts or {}) do
    self[name] = value
  end
  return function(req, res, next_handler)
    return serve(self, req, res, next_handler)
  end
end

return M
