-- What a worker may say to its master about ports, and does not get.

local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local services = require "spec.support.services"

after_each(clusters.clean)

describe("A worker that asks for nonsense", function()
  it("is refused, and harms nobody", function()
    for _, policy in ipairs { "rr", "none", "reuseport" } do
      local service = services.start {
        workers = 1,
        settings = { scheduling_policy = policy },
      }
      local hostile = services.obeying
        .. [[
          local link = worker._link
          local wants = {
            {}, { number = "x", port = 1 }, { number = -1, port = 0 }, { number = 0, port = 65536 },
            { number = 0, port = 1.5 }, { number = 0, port = 0, address = "nowhere" },
            { number = 0, port = 0, address = "" },
            { number = 0, port = 0, address = "127.0.0.1\0" }, { number = 0, path = "" }, { number = 0, path = ("x"):rep(5000) },
            { number = 0, path = "a\0b" }, { number = 0, path = "/tmp" }, { number = 0, path = "x", directory = "/nowhere" },
            { number = 0, path = "x", directory = "" }, { number = 0, path = "x", directory = "/\0" },
            { number = 0, fd = 0 }, { number = 0, fd = 0x7fffffff }, { number = 0, fd = -1 },
            { number = 0, port = 0, type = "tcp" },
            { number = 0, fd = 0, type = "udp4" }, { number = 0, port = 0, type = "udp6" },
            { number = 0, path = "x", type = "udp4" }, { number = 0, port = 0, backlog = "x" },
          }
          link:send { act = "close" }
          link:send { act = "close", key = "x" }
          link:send { act = "close", key = 1 }
          link:send { act = "no_intake" }
          local answers = 0
          for _, want in ipairs(wants) do
            want.act = "query_server"
            link:send(want, 0, function(answer)
              answers = answers + 1
              process.send(answer.code and answers or { "granted", want.port, want.path, want.address })
            end)
          end
        ]]
      service:eval(("cluster.setup_master { exec = %q }"):format(clusters.write("hostile.lua", services.worker(hostile))))
      local id = service:fork(1)
      eventually(function()
        assert.not_equal("table", type(service.told[id]))
        return service.told[id] == 23
      end)
      assert.same({ ["1"] = 10 }, service:ask(10))
      service:eval(("cluster.workers[%d]:kill 'SIGKILL'"):format(id))
      assert.equal("", service:stop())
    end
  end)
end)
