-- A server that says hello; writes its port to standard output, unless it is
-- one of several.

local http = require "mw.http"
local mw = require "mw"

local server = http.create_server({ keep_alive_timeout = 600000 }, function(_, res)
  res:set_header("Content-Type", "text/plain")
  res:finish "hello, world\n"
end)
server:listen(0, "127.0.0.1", function()
  if not mw.process.connected then
    io.write(server:address().port, "\n")
    io.stdout:flush()
  end
end)
