-- A worker that tells its pid: at once, after 100 ms, or with memory that it
-- keeps.
--   chaos_worker.lua PORT

local mw = require "mw"

local kept = {}
local router = mw.http.router.new()

local function answer(_, res)
  res:finish(tostring(mw.process.pid))
end

router:get("/", answer)
router:get("/slow", function(req, res)
  mw.sleep(100)
  answer(req, res)
end)
router:get("/greedy", function(req, res)
  kept[#kept + 1] = ("x"):rep(16384)
  answer(req, res)
end)

mw.http.create_server(router):listen(tonumber(arg[1]), "127.0.0.1")
