-- Whole bodies: reads a message to its end.

local errors = require "mw.error"
local options = require "mw.options"
local task = require "mw.task"

local M = {}

local function too_large(limit)
  return errors.new("ERR_HTTP_BODY_TOO_LARGE", ("ERR_HTTP_BODY_TOO_LARGE: the body has more than %d bytes"):format(limit))
end

-- Reads on until the end, the limit or an error.
local function collect(stream, limit, done)
  local pieces, size = {}, 0
  local function on_piece(err, piece)
    if err ~= nil then
      return done(err)
    elseif not piece then
      return done(nil, table.concat(pieces))
    end
    pieces[#pieces + 1], size = piece, size + #piece
    if size > limit then
      return done(too_large(limit))
    end
    stream:read(on_piece)
  end
  stream:read(on_piece)
end

--- Waits for the whole body and returns it, each time the same; nil and an error
--- where it does not come whole, or is longer than `limit`
--- (ERR_HTTP_BODY_TOO_LARGE).
---@param self mw.Readable
---@param limit? integer bytes; no limit where absent
---@param callback? fun(err: any, body: string?)
---@return string? body
---@return mw.Error? err
function M.read(self, limit, callback)
  if type(limit) == "function" then
    limit, callback = nil, limit
  end
  options.optional("body", "limit", limit, options.size)
  options.optional("body", "callback", callback, options.callback)
  return task.answer("the body of a message", callback, function(done)
    if self._whole_body then
      return done(nil, self._whole_body)
    end
    collect(self, limit or math.huge, function(err, body)
      self._whole_body = body
      done(err, body)
    end)
  end)
end

return M
