local Debounce = require "mw.supervisor.debounce"
local FakeClock = require "spec.support.fake_clock"

describe("A debounce", function()
  local clock, debounce, calls

  before_each(function()
    clock, calls = FakeClock.new(), 0
    debounce = Debounce.new(clock, { quiet = 100, patience = 1000 }, function()
      calls = calls + 1
    end)
  end)

  it("calls once it has been quiet for a while", function()
    debounce:poke()
    clock:advance(60)
    debounce:poke()
    clock:advance(99)
    assert.equal(0, calls)
    clock:advance(1)
    assert.equal(1, calls)
    clock:advance(5000)
    assert.equal(1, calls)
  end)

  it("does not wait for ever where it never gets quiet", function()
    for _ = 1, 250 do
      debounce:poke()
      clock:advance(10)
    end
    assert.equal(2, calls)
  end)

  it("has one timer, however often it is asked", function()
    for _ = 1, 1000 do
      debounce:poke()
    end
    assert.equal(1, clock:timer_count())
  end)

  it("begins anew after a call", function()
    for _ = 1, 3 do
      debounce:poke()
      clock:advance(100)
    end
    assert.equal(3, calls)
  end)

  it("does not call when it is closed", function()
    debounce:poke()
    debounce:close()
    clock:advance(1000)
    assert.same({ 0, 0 }, { calls, clock:timer_count() })
  end)
end)
