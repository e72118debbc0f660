-- A web server that says who has answered. By itself it is one process; a
-- worker of master.lua, or of `mwrun -w 4 scripts/worker.lua`, shares its port.
--   scripts/run scripts/worker.lua [port]

local http = require "mw.http"
local process = require "mw.process"

local port = math.tointeger(tonumber(arg[1] or 8000))

local router = http.router.new()

router:get("/", function(_, res)
  res:finish(("answered by pid %d\n"):format(process.pid))
end)

router:get("/hello/:name", function(req, res)
  res:json { hello = req.params.name, pid = process.pid }
end)

local server = http.create_server(router)

server:on("error", function(err)
  io.stderr:write(tostring(err), "\n")
  if err.code == "EADDRINUSE" then
    io.stderr:write("name another port: worker.lua PORT, master.lua PORT\n")
  end
  process.exit(1)
end)

server:listen(port, "127.0.0.1")
