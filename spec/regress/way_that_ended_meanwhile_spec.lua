-- A worker may end its way to the master while that replaces its own image. The
-- next image ended at once then, and the service with it.

local core = require "mw.core.dispatcher"
local fd = require "mw.core.fd"
local outlets = require "mw.cluster.master.outlets"

describe("A way to a worker", function()
  it("that the worker has ended since is not gone on with", function()
    local ours, theirs = assert(core.pair())
    fd.close(theirs)
    local worker = { slot = 1 }
    assert.is_nil(outlets.adopt(worker, ours, function() end))
    assert.is_nil(outlets.member(worker))
  end)
end)
