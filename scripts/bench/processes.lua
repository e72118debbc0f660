-- Child processes, start-up and memory, beside Node and `lua`.
--   build/mwrun scripts/bench/processes.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path

local function beside_node(title, unit, name, ...)
  compare.run {
    title = title,
    unit = unit,
    ours = { mwrun, compare.path("workloads/" .. name .. ".lua"), ... },
    peer = { "node", compare.path("workloads/" .. name .. ".js"), ... },
    peer_name = "node",
  }
end

beside_node("spawn of /bin/true to its exit", "us", "spawn", "0")
beside_node("the same, from a process of 256 MiB", "us", "spawn", "256")
beside_node("200 at once, each", "us", "spawn_many")
beside_node("500 MB from a child's stdout", "MB/s", "stdout")
beside_node("500 MB to a child's stdin", "MB/s", "stdin")

local start = compare.path "workloads/start.lua"
compare.run {
  title = "start of an empty script",
  unit = "us",
  ours = { mwrun, start, mwrun, "-e", "" },
  peer = { mwrun, start, "lua5.4", "-e", "" },
  peer_name = "lua",
}

local idle = "local mw = require 'mw' mw.process.stdin:resume() print 'up'"
local idle_node = "process.stdin.resume(); console.log('up')"
compare.run {
  title = "20 idle processes, PSS of each",
  unit = "KiB",
  ours = { mwrun, compare.path "workloads/memory.lua", mwrun, "-e", idle },
  peer = { mwrun, compare.path "workloads/memory.lua", "node", "-e", idle_node },
  peer_name = "node",
  runs = 3,
}
