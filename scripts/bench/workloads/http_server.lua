-- A server that says hello; writes its port to standard output.

local http = require "mw.http"

local server = http.create_server({ keep_alive_timeout = 600000 }, function(_, res)
  res:set_header("Content-Type", "text/plain")
  res:finish "hello, world\n"
end)
server:listen(0, "127.0.0.1", function()
  io.write(server:address().port, "\n")
  io.stdout:flush()
end)
