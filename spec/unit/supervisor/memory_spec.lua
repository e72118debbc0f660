local memory = require "mw.supervisor.memory"
local process = require "mw.process"

describe("The memory of a process", function()
  it("is known by its pid", function()
    local ours = process.memory_usage().rss
    local rss, pss = memory.rss(process.pid), memory.pss(process.pid)
    assert.equal("integer", math.type(rss))
    assert.is_true(math.abs(rss - ours) < ours / 4)
    assert.is_true(pss > 0 and pss <= rss + 4 * 1024 * 1024)
  end)

  it("grows with what is kept", function()
    local before = memory.rss(process.pid)
    local kept = ("x"):rep(32 * 1024 * 1024)
    assert.is_true(memory.rss(process.pid) - before > 24 * 1024 * 1024)
    assert.equal(32 * 1024 * 1024, #kept)
  end)

  it("is nil where there is no such process", function()
    assert.is_nil(memory.rss(2 ^ 31 - 1 | 0))
    assert.is_nil(memory.pss(2 ^ 31 - 1 | 0))
  end)
end)
