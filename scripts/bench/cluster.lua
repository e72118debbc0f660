-- A cluster of two workers that says hello, beside nginx, Node and gunicorn: CPU
-- time for a request, master included; and how soon a dead worker is replaced.
-- Needs wrk.
--   build/mwrun scripts/bench/cluster.lua [runs]

local compare = require "./compare"
local mw = require "mw"

local mwrun, runs = mw.process.exec_path, tonumber(arg[1] or 5)
local hello = compare.path "workloads/http_hello.lua"

local function entries(how, servers)
  local list = {}
  for index, server in ipairs(servers) do
    list[index] = { name = server, command = { mwrun, hello, server, how } }
  end
  return list
end

local function among(title, how, servers)
  compare.among(title, "us", entries(how, servers), runs)
end

local kept = { "mwrun:2", "nginx:2", "node:2" }
among("hello world, keep-alive", "keep", kept)
among("the same, with the headers of a browser", "browser", kept)
among("a connection for each request", "close", {
  "mwrun:2:rr",
  "mwrun:2:least",
  "mwrun:2:none",
  "mwrun:2:reuseport",
  "nginx:2",
  "node:2:rr",
  "node:2:none",
  "gunicorn:2",
})
compare.run {
  title = "kill -9 of a worker to the next that listens",
  unit = "us",
  ours = { mwrun, compare.path "workloads/replace.lua" },
  peer = { "node", compare.path "workloads/replace.js" },
  peer_name = "Node",
  runs = runs,
}
