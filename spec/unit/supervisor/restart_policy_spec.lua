local RestartPolicy = require "mw.supervisor.restart_policy"

local function new(opts)
  local all = { limit = 3, window = 60000, delay = 100, max_delay = 30000 }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  return RestartPolicy.new(all, function()
    return 0.5
  end)
end

describe("A restart policy", function()
  it("replaces at once what was ready, and later and later what never was", function()
    local policy = new { limit = 9 }
    assert.equal(0, policy:failed(0, 10))
    assert.equal(0, policy:failed(1, 10))
    assert.equal(100, policy:failed(2))
    assert.equal(200, policy:failed(3))
    assert.equal(0, policy:failed(4, 10))
    assert.equal(400, policy:failed(5))
  end)

  it("allows so many in the window, and then tries every max_delay", function()
    local policy = new()
    for now = 1, 3 do
      assert.equal(0, policy:failed(now, 10))
      assert.is_false(policy.is_past_limit)
    end
    assert.equal(30000, policy:failed(4, 10))
    assert.is_true(policy.is_past_limit)
    assert.equal(30000, policy:failed(30004, 10))
    assert.equal(4, #policy.failures)
  end)

  it("does not count what was before the window", function()
    local policy = new()
    for now = 1, 3 do
      policy:failed(now, 10)
    end
    assert.equal(0, policy:failed(60001, 10))
    assert.same({ 2, 3, 60001 }, policy.failures)
  end)

  it("forgets count and delay once a worker was ready for a tenth of the window", function()
    local policy = new()
    for now = 1, 4 do
      policy:failed(now)
    end
    assert.equal(30000, policy:failed(8000, 5999))
    assert.equal(0, policy:failed(14000, 6000))
    assert.is_false(policy.is_past_limit)
    assert.same({ 14000 }, policy.failures)
    assert.equal(100, policy:failed(14001))
  end)

  for _, code in ipairs { 103, 104 } do
    it("is past its limit at once where the status is " .. code, function()
      local policy = new()
      assert.equal(30000, policy:failed(0, nil, code))
      assert.is_true(policy.is_past_limit)
    end)
  end

  it("takes these statuses for ordinary ones where the worker was ready", function()
    assert.equal(0, new():failed(0, 1, 103))
  end)

  it("with a limit of 0 restarts none quickly", function()
    assert.equal(30000, new({ limit = 0 }):failed(0, 1))
  end)

  it("gives a worker that crashes at boot no more than ten starts in ten seconds", function()
    local policy = RestartPolicy.new({ limit = 5, window = 60000, delay = 100, max_delay = 30000 }, math.random)
    local now, starts = 0, 0
    while now < 10000 do
      starts = starts + 1
      now = now + policy:failed(now)
    end
    assert.is_true(starts <= 10, starts)
  end)
end)
