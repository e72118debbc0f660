-- A web server that is never busy: what takes long is worked out by a child of
-- its own, and everybody else is answered meanwhile.
--   scripts/run scripts/examples/sum.lua [port]
--   curl http://127.0.0.1:8000/sum?to=300000000 & curl http://127.0.0.1:8000/time

local mw = require "mw"

local process = mw.process

if process.send then
  process.once("message", function(limit)
    local sum = 0
    for number = 1, limit do
      sum = sum + number
    end
    process.send(sum)
    process.disconnect()
  end)
  return
end

local router = mw.http.router.new()

router:get("/sum", function(req, res)
  local limit = math.tointeger(tonumber(req.query.to))
  if not limit then
    res.status_code = 400
    return res:finish "say /sum?to=NUMBER\n"
  end
  local child = mw.child_process.fork(arg[0])
  child:send(limit)
  local sum, err = child:wait "message"
  if not sum then
    res.status_code = 500
    return res:finish(tostring(err) .. "\n")
  end
  res:finish(sum .. "\n")
end)

router:get("/time", function(_, res)
  res:finish(os.date "%H:%M:%S\n")
end)

local server = mw.http.create_server(router)
server:on("error", function(err)
  io.stderr:write(tostring(err), "\n")
  process.exit(1)
end)
server:listen(tonumber(arg[1]) or 8000, "127.0.0.1", function()
  print("listening on http://127.0.0.1:" .. server:address().port)
  io.stdout:flush()
end)
