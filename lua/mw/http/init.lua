-- HTTP/1.1: the door. (https://nodejs.org/api/http.html)

local Server = require "mw.http.server"

local M = {
  Server = Server,
  create_server = Server.new,
}

return M
