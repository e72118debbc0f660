-- A web server that says hello, one process, beside nginx and Node: CPU time for
-- a request; memory of a connection. Needs wrk.
--   build/mwrun scripts/bench/http.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path

local function programs(how, servers)
  local list = {}
  for index, server in ipairs(servers) do
    list[index] = { name = server, command = { mwrun, compare.path "workloads/http_hello.lua", server, how } }
  end
  return list
end

local function request(title, how, servers)
  compare.run { title = title, unit = "us", programs = programs(how, servers), runs = 5 }
end

request("a request, keep-alive, one process", "keep", { "mwrun", "nginx", "node" })
request("the same, with the headers of a browser", "browser", { "mwrun", "nginx", "node" })
request("the same, a connection for each", "close", { "mwrun", "nginx" })

compare.run {
  title = "10000 idle keep-alive connections, each",
  unit = "bytes",
  programs = { { name = "mwrun", command = { mwrun, compare.path "workloads/http_idle.lua" } } },
  runs = 1,
}
