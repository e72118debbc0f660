local clusters = require "spec.support.clusters"

after_each(clusters.clean)

-- One server, on a port that all workers share.
local serve = [[
  local server = mw.net.create_server(function(socket) socket:on("end", function() socket:finish() end) socket:resume() end)
  server:listen(0, "127.0.0.1")
  server:on("close", function() print "server closed" end)
  worker:on("disconnect", function() print "worker disconnected" end)
]]

describe("The event listening", function()
  -- CL-11, CL-13
  it("carries the address of each server, after the state is set", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        worker:on("listening", function(...)
          local address = ...
          assert(select("#", ...) == 1 and worker.state == "listening")
          assert(address.address_type == -1 or address.port > 0)
          print(address.address_type, address.address, address.port ~= nil)
        end)
        local count = 0
        cluster.on("listening", function(from, address)
          assert(from == worker and address.address_type)
          count = count + 1
          if count == 4 then
            worker:disconnect()
          end
        end)
      ]],
      [[
        local steps = {
          function(done) mw.net.create_server():listen(0, "127.0.0.1", done) end,
          function(done) mw.net.create_server():listen(0, "::1", done) end,
          function(done) mw.net.create_server():listen(arg[0] .. ".sock", done) end,
          function(done) mw.dgram.create_socket("udp4"):bind({ port = 0, address = "127.0.0.1" }, done) end,
        }
        local function step(number)
          if steps[number] then
            steps[number](function() step(number + 1) end)
          end
        end
        step(1)
      ]]
    )
    local path = printed:match "%-1\t([^\t]*)"
    assert.equal(
      ("4\t127.0.0.1\ttrue\n6\t::1\ttrue\n-1\t%s\tfalse\nudp4\t127.0.0.1\ttrue\n"):format(path),
      printed
    )
    assert.matches("%.sock$", path)
  end)

  -- CL-13
  it("finds the worker's own state set, too", function()
    local printed = clusters.run(
      "local worker = cluster.fork() worker:on('message', function(state) print(state) worker:disconnect() end)",
      "mw.net.create_server():listen(0, function() worker:send(worker.state) end)"
    )
    assert.equal("listening\n", printed)
  end)
end)

describe("disconnect() of a worker that listens", function()
  -- CL-19
  it("waits for the connections of its servers, which close before the channel", function()
    for _, policy in ipairs { "rr", "none", "least", "reuseport", "sticky" } do
      local printed = clusters.run(
        ([[
          cluster.setup_master { scheduling_policy = %q }
          local worker = cluster.fork()
          worker:on("listening", function(address)
            local client = mw.net.connect(address.port, address.address)
            client:on("connect", function() mw.sleep(20, function()
              worker:disconnect()
              mw.sleep(20, function()
                print("still there", worker:is_connected())
                io.stdout:flush()
                client:finish()
                client:resume()
              end)
            end) end)
          end)
          worker:on("exit", function(code) print("exit", code, worker.exited_after_disconnect) end)
        ]]):format(policy),
        serve
      )
      assert.equal("still there\ttrue\nserver closed\nworker disconnected\nexit\t0\ttrue\n", printed)
    end
  end)
end)

describe("cluster.disconnect() with servers", function()
  -- CL-28
  it("calls back when the ports are closed, and they can be listened on again", function()
    for _, policy in ipairs { "rr", "none", "least", "reuseport", "sticky" } do
      local printed = clusters.run(
        ([[
          cluster.setup_master { scheduling_policy = %q, silent = true }
          local port
          local function start(round)
            local count = 0
            for _ = 1, 8 do cluster.fork { PORT = port or 0 } end
            local function on_listening(_, address)
              count = count + 1
              port = port or address.port
              assert(address.port == port)
              if count == 8 then
                cluster.off("listening", on_listening)
                cluster.disconnect(function()
                  local client = mw.net.connect(port, "127.0.0.1")
                  client:on("connect", function() print "connected" end)
                  client:on("error", function(err)
                    print(round, next(cluster.workers), err.code)
                    if round == 1 then
                      start(2)
                    end
                  end)
                end)
              end
            end
            cluster.on("listening", on_listening)
          end
          start(1)
        ]]):format(policy),
        "mw.net.create_server():listen(tonumber(os.getenv 'PORT'), '127.0.0.1')"
      )
      assert.equal("1\tnil\tECONNREFUSED\n2\tnil\tECONNREFUSED\n", printed)
    end
  end)

  -- CL-29
  it("from a server's error handler that then raises, ends the worker", function()
    local printed = clusters.run(
      [[
        cluster.setup_master { silent = true }
        local worker = cluster.fork()
        worker:on("exit", function(code) print(code, worker.exited_after_disconnect) end)
      ]],
      [[
        local taken = mw.net.create_server()
        taken:listen({ port = 0, host = "127.0.0.1", exclusive = true }, function()
          local server = mw.net.create_server()
          server:on("error", function()
            worker:disconnect()
            error "and more"
          end)
          server:listen(taken:address().port, "127.0.0.1")
        end)
      ]]
    )
    assert.matches("^1\t", printed)
  end)
end)
