-- Child processes, start-up and memory, beside Node and `lua`.
--   build/mwrun scripts/bench/processes.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path

local function beside_node(title, unit, name, ...)
  local ours = { mwrun, compare.path("workloads/" .. name .. ".lua"), ... }
  compare.beside_node(title, unit, ours, { "node", compare.path("workloads/" .. name .. ".js"), ... })
end

beside_node("spawn of /bin/true to its exit", "us", "spawn", "0")
beside_node("the same, from a process of 256 MiB", "us", "spawn", "256")
beside_node("200 spawns at once, each", "us", "spawn_many")
beside_node("500 MB from a child's stdout", "MB/s", "stdout")
beside_node("500 MB to a child's stdin", "MB/s", "stdin")

local start = compare.path "workloads/start.lua"
compare.run {
  title = "start of an empty script",
  unit = "us",
  programs = {
    { name = "mwrun", command = { mwrun, start, mwrun, "-e", "" } },
    { name = "lua", command = { mwrun, start, "lua5.4", "-e", "" } },
  },
}

local memory = compare.path "workloads/memory.lua"
local idle = "local mw = require 'mw' mw.process.stdin:resume() print 'up'"
local idle_node = "process.stdin.resume(); console.log('up')"
compare.beside_node(
  "20 idle processes, PSS of each",
  "KiB",
  { mwrun, memory, mwrun, "-e", idle },
  { mwrun, memory, "node", "-e", idle_node },
  3
)
