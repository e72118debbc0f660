-- Content types by the ends of file names.

local M = {}

local types = {
  avif = "image/avif",
  bin = "application/octet-stream",
  css = "text/css; charset=utf-8",
  csv = "text/csv; charset=utf-8",
  gif = "image/gif",
  gz = "application/gzip",
  htm = "text/html; charset=utf-8",
  html = "text/html; charset=utf-8",
  ico = "image/x-icon",
  jpeg = "image/jpeg",
  jpg = "image/jpeg",
  js = "text/javascript; charset=utf-8",
  json = "application/json; charset=utf-8",
  lua = "text/plain; charset=utf-8",
  map = "application/json; charset=utf-8",
  md = "text/markdown; charset=utf-8",
  mjs = "text/javascript; charset=utf-8",
  mp3 = "audio/mpeg",
  mp4 = "video/mp4",
  ogg = "audio/ogg",
  otf = "font/otf",
  pdf = "application/pdf",
  png = "image/png",
  svg = "image/svg+xml",
  tar = "application/x-tar",
  ttf = "font/ttf",
  txt = "text/plain; charset=utf-8",
  wasm = "application/wasm",
  wav = "audio/wav",
  webm = "video/webm",
  webp = "image/webp",
  woff = "font/woff",
  woff2 = "font/woff2",
  xml = "application/xml; charset=utf-8",
  zip = "application/zip",
}

--- The type of a file, by its name.
---@param name string
---@return string
function M.of(name)
  local ending = name:match "%.(%w+)$"
  return ending and types[ending:lower()] or "application/octet-stream"
end

return M
