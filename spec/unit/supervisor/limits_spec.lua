local limits = require "mw.supervisor.limits"

local function always(value)
  return function()
    return value
  end
end

describe("The limits of a worker", function()
  it("are up to a tenth lower than the option says, except for memory", function()
    local opts = { max_memory = 1000, max_requests = 1000, max_lifetime = 2000 }
    assert.same({ memory = 1000, requests = 1000, lifetime = 2000 }, limits.draw(opts, always(0)))
    assert.same({ memory = 1000, requests = 900, lifetime = 1800 }, limits.draw(opts, always(1)))
    assert.equal(1, limits.draw({ max_requests = 1 }, always(1)).requests)
  end)

  it("are none where no option says one", function()
    assert.same({}, limits.draw({}, always(0)))
    assert.is_nil(limits.reason({}, { memory = 1 << 40, requests = 1 << 40, age = 1 << 40 }))
  end)

  it("name what is used up, with the figures", function()
    local own = { memory = 100, requests = 10, lifetime = 1000 }
    assert.is_nil(limits.reason(own, { memory = 99, requests = 9, age = 999 }))
    assert.equal("max_memory: 100 bytes of 100", limits.reason(own, { memory = 100, requests = 10, age = 0 }))
    assert.equal("max_requests: 11 of 10", limits.reason(own, { requests = 11, age = 1000 }))
    assert.equal("max_lifetime: 1000 ms of 1000", limits.reason(own, { age = 1000 }))
  end)
end)
