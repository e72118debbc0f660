local rolling_reload = require "mw.supervisor.rolling_reload"

local function worker(generation, state)
  return { generation = generation, state = state or "ready" }
end

describe("A rolling reload", function()
  local first, second

  before_each(function()
    first, second = { holder = worker(1) }, { holder = worker(1) }
  end)

  local function next_step()
    local step, slot = rolling_reload.next_step({ first, second }, 2)
    return step, slot == first and 1 or slot == second and 2 or nil
  end

  it("starts with a canary and waits for it", function()
    assert.same({ "start", 1 }, { next_step() })
    first.successor = worker(2, "starting")
    assert.same({ "wait" }, { next_step() })
  end)

  it("goes on one by one, and switches when all are ready", function()
    first.successor = worker(2)
    assert.same({ "start", 2 }, { next_step() })
    second.successor = worker(2, "starting")
    assert.same({ "wait" }, { next_step() })
    second.successor = worker(2)
    assert.same({ "switch" }, { next_step() })
  end)

  it("counts a new worker that had to take a place already", function()
    first.holder = worker(2)
    assert.same({ "start", 2 }, { next_step() })
  end)

  it("fills places that nobody has", function()
    first.holder = nil
    assert.same({ "start", 1 }, { next_step() })
  end)

  it("takes no successor of another generation for a new one", function()
    first.successor = worker(1)
    assert.same({ "start", 1 }, { next_step() })
  end)
end)
