-- All troubles at once, for a short while; scripts/bench/chaos.lua takes longer
-- where it is told to.

local children = require "spec.support.children"
local mw = require "mw"

describe("A supervised service that is reloaded, scaled, killed and short of memory", function()
  it("loses what the killed workers had, and nothing else", function()
    local child = mw.child_process.spawn(mw.process.exec_path, { "scripts/bench/chaos.lua", "3" })
    local result = children.finish(child)
    assert.is_nil(result.stdout:find "NOT AS PROMISED", result.stdout)
    assert.equal(0, result.code, result.stdout .. result.stderr)
    local phases = select(2, result.stdout:gsub("%d+ answered; lost", ""))
    assert.equal(5, phases)
    assert.matches("\n  6 kills; as many workers again after [%d.]+ ms", result.stdout)
  end)
end)
