local Heartbeat = require "mw.supervisor.heartbeat"

local opts = { interval = 1000, timeout = 10000 }

-- Checks regularly up to a moment; returns what the last check found.
local function check_until(heartbeat, from, to, workers)
  local found
  for now = from, to, heartbeat.period do
    found = heartbeat:hung(now, workers)
  end
  return found
end

describe("A heartbeat", function()
  it("is checked twice an interval", function()
    assert.equal(500, Heartbeat.new(opts).period)
    assert.equal(50, Heartbeat.new({ interval = 1000, timeout = 100 }).period)
    assert.equal(1, Heartbeat.new({ interval = 1, timeout = 1 }).period)
  end)

  it("finds who has given no sign for longer than the timeout", function()
    local quiet, lively = { last_beat = 0 }, { last_beat = 9000 }
    local heartbeat = Heartbeat.new(opts)
    assert.same({}, check_until(heartbeat, 0, 10000, { quiet, lively }))
    local found = heartbeat:hung(10500, { quiet, lively })
    assert.equal(1, #found)
    assert.equal(quiet, found[1])
  end)

  it("does not judge who has never beaten", function()
    assert.same({}, check_until(Heartbeat.new(opts), 0, 60000, { {} }))
  end)

  it("gives everybody the whole timeout again after a gap", function()
    local worker = { last_beat = 0 }
    local heartbeat = Heartbeat.new(opts)
    check_until(heartbeat, 0, 5000, { worker })
    assert.same({}, check_until(heartbeat, 3600000, 3610000, { worker }))
    assert.same({ worker }, heartbeat:hung(3610500, { worker }))
  end)

  it("finds who is hung although each check is late", function()
    local heartbeat, quiet = Heartbeat.new(opts), { last_beat = 0 }
    for now = 0, 10000, 2500 do
      assert.same({}, heartbeat:hung(now, { quiet }))
    end
    assert.same({ quiet }, heartbeat:hung(12500, { quiet }))
  end)

  it("takes a check that is a little late for no gap", function()
    local worker = { last_beat = 0 }
    local heartbeat = Heartbeat.new(opts)
    check_until(heartbeat, 0, 9500, { worker })
    assert.same({ worker }, heartbeat:hung(10900, { worker }))
  end)
end)
