-- UDP: the door. (https://nodejs.org/api/dgram.html)

local Socket = require "mw.dgram.socket"
local source = require "mw.dgram.source"

return {
  create_socket = Socket.create,

  -- For the subsystems above, not for users.
  Socket = Socket,
  set_bind_provider = source.set_provider,
  _bind = source.bind,
}
