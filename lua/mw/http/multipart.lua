-- Bodies of many parts: finds the parts in bytes that come in any pieces.
-- (RFC 7578, RFC 2046 5.1)

local errors = require "mw.error"

local most_header_bytes = 8192

---@class mw.MultipartParser
---@field over boolean whether the last boundary was there
local Parser = { __name = "mw.http.multipart" }
Parser.__index = Parser

---@class mw.MultipartEvents each may wait; what it returns as an error ends the parsing
---@field on_part fun(headers: table<string, string>): mw.Error?
---@field on_data fun(bytes: string): mw.Error?
---@field on_end fun(): mw.Error? the part is over

local M = {}

-- Where the text in quotes that begins at `start` ends: at the quote.
local function end_of_quoted(text, start)
  local index = start + 1
  while index <= #text and text:sub(index, index) ~= '"' do
    index = index + (text:sub(index, index) == "\\" and 2 or 1)
  end
  return index
end

--- The boundary that a Content-Type of multipart/form-data names; nil for others.
---@param content_type? string
---@return string?
function M.boundary_of(content_type)
  local rest = (content_type or ""):match "^%s*[Mm][Uu][Ll][Tt][Ii][Pp][Aa][Rr][Tt]/[Ff][Oo][Rr][Mm]%-[Dd][Aa][Tt][Aa]%s*;(.*)$"
  if not rest then
    return nil
  end
  local boundary = M.parameter(rest, "boundary")
  return boundary and #boundary > 0 and #boundary <= 70 and boundary or nil
end

--- A parameter of a header: `a="b c"; d=e`.
---@param text string
---@param wanted string in lower case
---@return string?
function M.parameter(text, wanted)
  local at = 1
  while true do
    local name, start = text:match("^[%s;]*([^=;%s]+)%s*=%s*()", at)
    if not name then
      return nil
    end
    local value, behind
    if text:sub(start, start) == '"' then
      local index = end_of_quoted(text, start)
      value, behind = text:sub(start + 1, index - 1):gsub('\\(["\\])', "%1"), index + 1
    else
      value, behind = text:match("^([^;%s]*)()", start)
    end
    if name:lower() == wanted then
      return value
    end
    at = behind
  end
end

---@param boundary string
---@param events mw.MultipartEvents
---@return mw.MultipartParser
function M.new(boundary, events)
  return setmetatable({
    _delimiter = "\r\n--" .. boundary,
    _events = events,
    _rest = "\r\n", -- as if the first boundary stood behind a line
    _state = "preamble",
    over = false,
  }, Parser)
end

local function malformed(what)
  return errors.new("ERR_HTTP_MULTIPART_INVALID", "ERR_HTTP_MULTIPART_INVALID: " .. what)
end

local function parse_headers(text)
  local headers = {}
  for line in (text .. "\r\n"):gmatch "(.-)\r\n" do
    local name, value = line:match "^([^%s:]+):%s*(.-)%s*$"
    if name then
      headers[name:lower()] = value
    elseif line ~= "" then
      return nil
    end
  end
  return headers
end

local states = {}

local function take(self, count)
  local bytes = self._rest:sub(1, count)
  self._rest = self._rest:sub(count + 1)
  return bytes
end

-- What stands before a boundary, as far as it is sure that it does; whether the
-- boundary is there.
local function take_data(self)
  local at = self._rest:find(self._delimiter, 1, true)
  if at then
    local bytes = take(self, at - 1)
    take(self, #self._delimiter)
    return bytes, true
  end
  return take(self, math.max(0, #self._rest - #self._delimiter + 1)), false
end

function states.preamble(self)
  local _, found = take_data(self)
  return found and "boundary"
end

function states.boundary(self)
  if #self._rest < 2 then
    return nil
  end
  local bytes = take(self, 2)
  if bytes == "--" then
    self.over = true
    return "epilogue"
  elseif bytes ~= "\r\n" then
    return nil, malformed "a boundary is no line"
  end
  self._rest = "\r\n" .. self._rest -- a part may have no header
  return "headers"
end

function states.headers(self)
  local first, last = self._rest:find("\r\n\r\n", 1, true)
  if not first then
    return nil, #self._rest > most_header_bytes and malformed "the headers of a part are too long" or nil
  end
  local headers = parse_headers(self._rest:sub(3, first - 1))
  take(self, last)
  if not headers then
    return nil, malformed "a header of a part is none"
  end
  self._rest = "\r\n" .. self._rest -- the boundary may follow at once
  self._skip = 2
  return "body", self._events.on_part(headers)
end

function states.body(self)
  local bytes, found = take_data(self)
  local skipped = math.min(self._skip, #bytes)
  bytes, self._skip = bytes:sub(skipped + 1), found and 0 or self._skip - skipped
  local err = bytes ~= "" and self._events.on_data(bytes) or nil
  if err or not found then
    return nil, err
  end
  return "boundary", self._events.on_end()
end

function states.epilogue(self)
  self._rest = ""
end

--- Takes the next bytes of the body.
---@param bytes string
---@return mw.Error? err
function Parser:feed(bytes)
  self._rest = self._rest .. bytes
  while true do
    local state, err = states[self._state](self)
    if err then
      return err
    elseif not state then
      return nil
    end
    self._state = state
  end
end

--- Says that no more comes.
---@return mw.Error? err
function Parser:finish()
  return not self.over and malformed "the last boundary is missing" or nil
end

return M
