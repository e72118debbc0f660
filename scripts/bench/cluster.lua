-- A cluster of two workers that says hello, beside nginx, Node and gunicorn: CPU
-- time for a request, master included; and how soon a dead worker is replaced.
-- Needs wrk.
--   build/mwrun scripts/bench/cluster.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path
local hello = compare.path "workloads/http_hello.lua"

local function request(title, how, servers)
  local programs = {}
  for index, server in ipairs(servers) do
    programs[index] = { name = server, command = { mwrun, hello, server, how } }
  end
  compare.run { title = title, unit = "us", programs = programs, runs = 5 }
end

local kept = { "mwrun:2", "nginx:2", "node:2" }
request("a request, keep-alive, two workers", "keep", kept)
request("the same, with the headers of a browser", "browser", kept)
for _, policy in ipairs { "rr", "none", "reuseport" } do
  local title = ("a connection for each request, two workers, %s"):format(policy)
  local node = policy == "reuseport" and "node:2:none" or "node:2:" .. policy
  request(title, "close", { "mwrun:2:" .. policy, "nginx:2", node, "gunicorn:2" })
end

local replace = compare.path "workloads/replace"

local function replacement(title, ...)
  compare.beside_node(title, "us", { mwrun, replace .. ".lua", "20", ... }, { "node", replace .. ".js", "20" }, 5)
end

replacement "kill -9 of a worker to the next that listens"
replacement("the same, from a fork server", "mw")
replacement("the same, with 10 MB preloaded", "ten_megabytes")
