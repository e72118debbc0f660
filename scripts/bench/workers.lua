-- Starting workers, one and many, from nothing and from a fork server; beside
-- Node.
--   build/mwrun scripts/bench/workers.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path

local function beside_node(title, unit, name, peer_arguments, ...)
  local ours = { mwrun, compare.path("workloads/" .. name .. ".lua"), ... }
  local nodes = { "node", compare.path("workloads/" .. name .. ".js"), table.unpack(peer_arguments) }
  compare.beside_node(title, unit, ours, nodes)
end

beside_node("fork to the first message", "us", "fork", {})
beside_node("the same, from a fork server", "us", "fork", {}, "mw")
beside_node("the same, with 10 MB preloaded", "us", "fork", {}, "ten_megabytes")
beside_node("50 forks at once", "ms", "fork_many", { "50" }, "50")
beside_node("the same, from a fork server", "ms", "fork_many", { "50" }, "50", "mw")

local memory = { mwrun, compare.path "workloads/memory.lua", "node", "-e", "process.stdin.resume(); console.log('up')" }
for _, case in ipairs {
  { "an idle worker of 20, PSS of each", "20", "mw" },
  { "the same, with 10 MB preloaded", "20", "ten_megabytes" },
  { "an idle worker of 1000, PSS of each", "1000", "mw" },
} do
  local ours = { mwrun, compare.path "workloads/fork_memory.lua", table.unpack(case, 2) }
  compare.beside_node(case[1], "KiB", ours, memory, 3)
end
