local counters = require "mw.counters"
local raw = require "spec.support.raw_http"

describe("The counters of a process", function()
  it("have the requests that have reached a handler", function()
    local before = counters.requests
    local server, port = raw.serve(function(_, res)
      res:finish "fine"
    end)
    raw.request(port, "GET /")
    raw.request(port, "GET /")
    raw.send(port, "no request\r\n\r\n")
    assert.equal(before + 2, counters.requests)
    raw.close(server)
  end)
end)
