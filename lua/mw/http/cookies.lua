-- Cookies. (RFC 6265)

local date = require "mw.http.date"
local errors = require "mw.error"
local options = require "mw.options"
local query = require "mw.http.query"

local M = {}

local function time(value)
  if type(value) ~= "number" or value ~= value then
    return "seconds since 1970"
  end
end

-- What would end an attribute.
local function attribute(value)
  if type(value) ~= "string" or value:find "[%c;,]" then
    return "text without ';', ',' and control characters"
  end
end

local schema = {
  domain = attribute,
  path = attribute,
  expires = time,
  max_age = options.integer(0),
  secure = options.boolean,
  http_only = options.boolean,
  same_site = options.one_of("strict", "lax", "none"),
}

--- Reads the header Cookie. Of equal names the first counts; "%41" stands for
--- what set() has escaped.
---@param header? string
---@return table<string, string>
function M.parse(header)
  local cookies = {}
  for item in (header or ""):gmatch "[^;]+" do
    local name, value = item:match "^%s*([^=]-)%s*=%s*(.-)%s*$"
    if name and name ~= "" and cookies[name] == nil then
      value = value:match '^"(.*)"$' or value
      cookies[name] = query.unescape((value:gsub("%+", "%%2B")))
    end
  end
  return cookies
end

---@class mw.CookieOptions
---@field domain? string
---@field path? string "/" where absent
---@field expires? number seconds since 1970
---@field max_age? integer seconds; 0 removes it
---@field secure? boolean
---@field http_only? boolean
---@field same_site? "strict"|"lax"|"none"

--- The value of a header Set-Cookie. Bytes of the value that can't be there are
--- escaped as in a URL.
---@param name string
---@param value string
---@param opts? mw.CookieOptions
---@return string
function M.format(name, value, opts)
  opts = opts or {}
  if type(name) ~= "string" or not name:find "^[%w!#$%%&'*+.^_`|~-]+$" then
    errors.misuse("set_cookie: bad argument 'name' (name of a cookie expected, got %s)", options.show(name))
  end
  options.argument("set_cookie", "value", value, options.bytes)
  options.argument("set_cookie", "options", opts, options.table)
  options.check("set_cookie", opts, schema)
  local parts = { name .. "=" .. query.escape(value), "Path=" .. (opts.path or "/") }
  local function add(text)
    parts[#parts + 1] = text
  end
  if opts.domain then
    add("Domain=" .. opts.domain)
  end
  if opts.expires then
    add("Expires=" .. date.format(math.floor(opts.expires)))
  end
  if opts.max_age then
    add(("Max-Age=%d"):format(opts.max_age))
  end
  if opts.secure then
    add "Secure"
  end
  if opts.http_only then
    add "HttpOnly"
  end
  if opts.same_site then
    add("SameSite=" .. opts.same_site:gsub("^%l", string.upper))
  end
  return table.concat(parts, "; ")
end

return M
