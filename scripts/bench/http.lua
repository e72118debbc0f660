-- A web server that says hello, beside nginx: CPU time for a request, memory of
-- a connection. Needs wrk.
--   build/mwrun scripts/bench/http.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path
local workload = compare.path "workloads/http_hello.lua"

local function beside(peer, title, how)
  compare.run {
    title = title,
    unit = "us",
    ours = { mwrun, workload, "mwrun", how },
    peer = { mwrun, workload, peer, how },
    peer_name = peer,
    runs = 5,
  }
end

beside("nginx", "hello world, keep-alive", "keep")
beside("nginx", "the same, with the headers of a browser", "browser")
beside("nginx", "the same, a connection each", "close")
beside("node", "hello world, keep-alive", "keep")

local idle = assert(mw.child_process.exec_file(mwrun, { compare.path "workloads/http_idle.lua" }))
print(("%-44s mwrun %9.1f bytes each"):format("10000 idle keep-alive connections", tonumber(idle)))
