-- Messages and handles between a process and its child, beside Node.
--   build/mwrun scripts/bench/messages.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path

local function command(program, path, arguments, cores)
  local words = { program, compare.path("workloads/" .. path), table.unpack(arguments) }
  if cores then
    words = { "taskset", "-c", cores, table.unpack(words) }
  end
  return words
end

-- Title, unit, workload, our arguments, Node's, the cores to run on.
for _, work in ipairs {
  { "small messages one way (node: json)", "/s", "messages", { "msgpack", "2000000", "small" }, { "json", "300000", "small" } },
  { "the same, json on both sides", "/s", "messages", { "json", "1000000", "small" }, { "json", "300000", "small" } },
  { "64 KiB one way (node: advanced)", "/s", "messages", { "msgpack", "100000", "65536" }, { "advanced", "20000", "65536" } },
  { "round trips, two cores (node: json)", "/s", "round_trip", { "msgpack", "30000" }, { "json", "30000" } },
  { "round trips, one core (node: json)", "/s", "round_trip", { "msgpack", "60000" }, { "json", "60000" }, "0" },
  { "CPU of a handed-over socket, both sides", "us", "hand_over", { "6000" }, { "6000" } },
} do
  local title, unit, name, ours, peers, cores = table.unpack(work)
  compare.beside_node(title, unit, command(mwrun, name .. ".lua", ours, cores), command("node", name .. ".js", peers, cores))
end
