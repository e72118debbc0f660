-- A router: calls the handler whose method and path fit, through the middleware
-- that stands before it.

local errors = require "mw.error"
local options = require "mw.options"
local query = require "mw.http.query"

---@alias mw.HttpHandler fun(req: mw.HttpRequest, res: mw.HttpResponse, next: fun())

---@class mw.Router
local Router = { __name = "mw.http.router" }
Router.__index = Router

-- "/a/:b/*rest" as the pieces of a path: texts, and names of what may stand
-- there.
local function compile(path)
  local pieces = {}
  for text in path:gmatch "[^/]+" do
    local kind, name = text:match "^([:*])(.*)$"
    if pieces[#pieces] and pieces[#pieces].kind == "*" then
      errors.misuse("router: '*' stands at the end of a path, in %s", options.show(path))
    end
    pieces[#pieces + 1] = kind and { kind = kind, name = name ~= "" and name or "rest" } or { text = text }
  end
  return pieces
end

local function split(path)
  local pieces = {}
  for text in path:gmatch "[^/]+" do
    pieces[#pieces + 1] = text
  end
  return pieces
end

local function unescape(text)
  return query.unescape((text:gsub("%+", "%%2B")))
end

-- The parameters where the path fits, else nil. A prefix may have more behind.
local function match(pattern, pieces, is_prefix)
  local params = {}
  for index, piece in ipairs(pattern) do
    local text = pieces[index]
    if piece.kind == "*" then
      params[piece.name] = unescape(table.concat(pieces, "/", index))
      return params
    elseif not text or piece.text and piece.text ~= unescape(text) then
      return nil
    elseif piece.kind then
      params[piece.name] = unescape(text)
    end
  end
  return (is_prefix or #pieces == #pattern) and params or nil
end

--- Makes a router. It is a handler itself: http.create_server(router).
---@return mw.Router
function Router.new()
  return setmetatable({ _entries = {} }, Router)
end

local function is_handler(value)
  local meta = getmetatable(value)
  return type(value) == "function" or type(value) == "table" and meta ~= nil and meta.__call ~= nil
end

local function add(self, what, method, path, is_prefix, ...)
  if type(path) ~= "string" or path:sub(1, 1) ~= "/" then
    errors.misuse("%s: bad argument 'path' (text that begins with '/' expected, got %s)", what, options.show(path))
  elseif select("#", ...) == 0 then
    errors.misuse("%s: a handler expected", what)
  end
  for index, handler in ipairs { ... } do
    if not is_handler(handler) then
      errors.misuse("%s: bad handler %d (function expected, got %s)", what, index, type(handler))
    end
    table.insert(self._entries, { method = method, pattern = compile(path), is_prefix = is_prefix, handler = handler })
  end
  return self
end

--- Calls middleware before what was added behind it: `fn(req, res, next)`, which
--- calls `next()` to go on; what stands behind that call runs afterwards. With a
--- path, only for that and what lies below it.
---@param path string|mw.HttpHandler
---@param ... mw.HttpHandler
---@return mw.Router self
function Router:use(path, ...)
  if type(path) == "string" then
    return add(self, "use", nil, path, true, ...)
  end
  return add(self, "use", nil, "/", true, path, ...)
end

--- Adds handlers for a method and a path. In the path ":name" stands for one
--- piece, "*name" at the end for all the rest: they are in `req.params`. HEAD is
--- answered by the handler of GET. Where nothing fits, the answer is 404, or 405
--- where only the method does not.
---@param method string "*" for all
---@param path string
---@param ... mw.HttpHandler
---@return mw.Router self
function Router:route(method, path, ...)
  options.argument("route", "method", method, options.name)
  return add(self, "route", method ~= "*" and method:upper() or nil, path, false, ...)
end

for _, method in ipairs { "get", "post", "put", "patch", "delete", "options", "head" } do
  Router[method] = function(self, path, ...)
    return add(self, method, method:upper(), path, false, ...)
  end
end

--- For every method.
---@param path string
---@param ... mw.HttpHandler
---@return mw.Router self
function Router:all(path, ...)
  return add(self, "all", nil, path, false, ...)
end

local function takes(entry, method)
  return not entry.method or entry.method == method or entry.method == "GET" and method == "HEAD"
end

-- When nothing is left to be asked.
local function answer_none(res, allowed)
  local methods = {}
  for method in pairs(allowed) do
    methods[#methods + 1] = method
  end
  table.sort(methods)
  if #methods > 0 then
    res:set_header("Allow", table.concat(methods, ", "))
  end
  res.status_code = #methods > 0 and 405 or 404
  res:finish()
end

local function run(self, req, res, outer_next)
  local pieces, allowed, outer_params = split(req.path), {}, req.params
  local function go_on(first)
    for index = first, #self._entries do
      local entry = self._entries[index]
      local params = match(entry.pattern, pieces, entry.is_prefix)
      if params and takes(entry, req.method) then
        req.params = setmetatable(params, outer_params and { __index = outer_params })
        return entry.handler(req, res, function()
          return go_on(index + 1)
        end)
      elseif params then
        allowed[entry.method] = true
      end
    end
    if outer_next and next(allowed) == nil then
      return outer_next()
    end
    answer_none(res, allowed)
  end
  return go_on(1)
end

Router.__call = run

return { new = Router.new }
