-- Clusters whose workers come from a fork server: their specs, run again; and
-- what a module that was preloaded sees of its cluster.

local clusters = require "spec.support.clusters"

local files = {
  "spec/integration/cluster/disconnect_spec.lua",
  "spec/integration/cluster/events_spec.lua",
  "spec/integration/cluster/identity_spec.lua",
  "spec/integration/cluster/kill_spec.lua",
  "spec/integration/cluster/listening_events_spec.lua",
}

-- These say what is meant to be different: another executable can't preload, and
-- a fork server has loaded more than one script needs; or starts no worker.
local others = {
  ["is found in mw"] = true,
  ["has the functions of an emitter, which return it"] = true,
  ["that can't come any more are an error for who waits"] = true,
  ["are an error where it can't be started, and it is no worker then"] = true,
  ["is one whose script never asks for the cluster, without what its script does not need"] = true,
}

local environment = setmetatable({
  it = function(name, fn)
    if not others[name] then
      it(name, fn)
    end
  end,
}, { __index = _ENV })

describe("A cluster that preloads:", function()
  before_each(function()
    clusters.settings = "preload = {}"
  end)

  after_each(function()
    clusters.settings = ""
  end)

  for _, file in ipairs(files) do
    assert(loadfile(file, "t", environment))()
  end

  it("shows a module that was preloaded the side of each worker", function()
    local app = clusters.write(
      "app.lua",
      [[
        local cluster = require("mw").cluster
        local http = require "mw.http"
        return function()
          local worker, is_worker = cluster.worker, cluster.is_worker and not cluster.is_master
          local identity = ("%d %d %s"):format(worker.id, worker.slot, is_worker)
          http.create_server(function(_, res) res:finish(identity) end):listen(0)
        end
      ]]
    )
    local printed = clusters.run(
      ([[
        cluster.setup_master { preload = { "app" }, cwd = %q, scheduling_policy = "rr" }
        cluster.on("listening", function(worker, address)
          if worker.id < 2 then
            return cluster.fork()
          end
          mw.go(function()
            local seen = {}
            for _ = 1, 4 do
              local res = assert(mw.http.get({ port = address.port, host = "127.0.0.1", headers = { connection = "close" } }))
              seen[#seen + 1] = res:body()
            end
            table.sort(seen)
            print(table.concat(seen, ","))
            cluster.disconnect()
          end)
        end)
        cluster.fork()
      ]]):format(app:match "^(.*)/"),
      "require 'app' ()"
    )
    assert.equal("1 1 true,1 1 true,2 2 true,2 2 true\n", printed)
    clusters.clean()
  end)
end)
