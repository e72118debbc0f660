-- All that fork promises, for workers of a fork server: the specs that say so
-- are run again, over both ways to make a worker.

local fork_servers = require "spec.support.fork_servers"

local files = {
  "spec/integration/child_process/fork_spec.lua",
  "spec/integration/ipc/channel_spec.lua",
  "spec/integration/ipc/messages_spec.lua",
  "spec/integration/ipc/send_spec.lua",
  "spec/integration/ipc/server_handles_spec.lua",
  "spec/integration/ipc/socket_handles_spec.lua",
}

for way, portable in pairs { ["the kernel's way"] = false, ["the portable way"] = true } do
  describe("A worker of a fork server, made in " .. way .. ":", function()
    fork_servers.apply(portable)
    for _, file in ipairs(files) do
      fork_servers.within(portable, function()
        assert(loadfile(file, "t", _ENV))()
      end)
    end
  end)
end
