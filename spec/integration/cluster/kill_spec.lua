local clusters = require "spec.support.clusters"

after_each(clusters.clean)

local report = [[
  local worker = cluster.fork()
  worker:on("exit", function(...) print(worker.exited_after_disconnect, next(cluster.workers), ...) end)
]]

describe("kill() of a worker", function()
  -- CL-25
  it("signals at once, SIGTERM where nothing else is said, also a busy one", function()
    for call, signal in pairs {
      ["worker:kill()"] = "SIGTERM",
      ["worker:destroy()"] = "SIGTERM",
      ["worker:kill 'SIGKILL'"] = "SIGKILL",
      ["worker:destroy(9)"] = "SIGKILL",
    } do
      local printed = clusters.run(
        report .. ("worker:on('online', function() print(%s) end)"):format(call),
        "while true do end"
      )
      assert.equal(("true\nfalse\tnil\tnil\t%s\n"):format(signal), printed)
    end
  end)

  -- CL-26
  it("that is gone is harmless", function()
    local printed = clusters.run [[
      local worker = cluster.fork()
      worker:on("exit", function() print(worker:kill(), worker:destroy(), worker.exited_after_disconnect) end)
      worker:disconnect()
    ]]
    assert.equal("false\tfalse\ttrue\n", printed)
  end)

  -- CL-26
  it("by itself is graceful towards the master, again and again", function()
    for _, code in ipairs {
      "worker:kill()",
      "worker:destroy() worker:destroy() worker:kill()",
      "worker:kill 'SIGKILL'",
      "worker:disconnect() worker:kill()",
      "worker:kill() worker:disconnect()",
      "process.on('disconnect', function() worker:kill() end) worker:kill()",
      "worker:on('disconnect', function() worker:kill() end) worker:disconnect()",
    } do
      local printed = clusters.run(report, code .. " mw.timers.set_interval(print, 60000)")
      assert.equal("true\tnil\t0\tnil\n", printed)
    end
  end)

  -- CL-26
  it("by itself without a channel ends it with status 0", function()
    local printed = clusters.run(
      report,
      "function cluster._on_orphaned() worker:kill() end process.disconnect() mw.timers.set_interval(print, 60000)"
    )
    assert.equal("false\tnil\t0\tnil\n", printed)
  end)
end)
