local one_at_a_time = require "mw.supervisor.one_at_a_time"

describe("Reloads that are asked for again and again", function()
  local pending, reload

  before_each(function()
    pending = {}
    reload = one_at_a_time.new(function(done)
      pending[#pending + 1] = done
    end)
  end)

  it("run one at a time, and once more for all that comes meanwhile", function()
    for _ = 1, 5 do
      reload()
    end
    assert.equal(1, #pending)
    pending[1]()
    assert.equal(2, #pending)
    pending[2]()
    assert.equal(2, #pending)
  end)

  it("begin anew after the end of the last", function()
    reload()
    pending[1]()
    reload()
    assert.equal(2, #pending)
  end)
end)
