-- Messages and handles between a process and its child, beside Node.
--   build/mwrun scripts/bench/messages.lua

local compare = require "./compare"
local mw = require "mw"

local mwrun = mw.process.exec_path

---@param work { name: string, ours: string[], peers: string[], cores?: string, [1]: string, [2]: string }
local function beside_node(work)
  local ours = { mwrun, compare.path("workloads/" .. work.name .. ".lua"), table.unpack(work.ours) }
  local peer = { "node", compare.path("workloads/" .. work.name .. ".js"), table.unpack(work.peers or work.ours) }
  if work.cores then
    for _, command in ipairs { ours, peer } do
      table.move({ "taskset", "-c", work.cores }, 1, 3, 1, table.move(command, 1, #command, 4))
    end
  end
  compare.run { title = work[1], unit = work[2], ours = ours, peer = peer, peer_name = "node" }
end

beside_node {
  "small messages one way (node: json)",
  "/s",
  name = "messages",
  ours = { "msgpack", "2000000", "small" },
  peers = { "json", "300000", "small" },
}
beside_node {
  "the same, json on both sides",
  "/s",
  name = "messages",
  ours = { "json", "1000000", "small" },
  peers = { "json", "300000", "small" },
}
beside_node {
  "64 KiB strings one way (node: advanced)",
  "/s",
  name = "messages",
  ours = { "msgpack", "100000", "65536" },
  peers = { "advanced", "20000", "65536" },
}
beside_node {
  "round trips, two cores (node: json)",
  "/s",
  name = "round_trip",
  ours = { "msgpack", "30000" },
  peers = { "json", "30000" },
}
beside_node {
  "round trips, one core (node: json)",
  "/s",
  name = "round_trip",
  cores = "0",
  ours = { "msgpack", "60000" },
  peers = { "json", "60000" },
}
beside_node { "CPU of a handed-over socket, both sides", "us", name = "hand_over", ours = { "6000" } }
