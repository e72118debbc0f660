local backoff = require "mw.supervisor.backoff"

local opts = { delay = 100, max_delay = 30000 }

local function delays(count, random)
  local list = {}
  for failures = 1, count do
    list[failures] = backoff.delay(failures, opts, random)
  end
  return list
end

local function always(value)
  return function()
    return value
  end
end

describe("The delay after failures in a row", function()
  it("doubles from the first one up to the longest", function()
    local expected = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000 }
    assert.same(expected, delays(11, always(0.5)))
  end)

  it("is a tenth shorter or longer by chance, and never longer than the longest", function()
    assert.same({ 90, 180, 360 }, delays(3, always(0)))
    assert.same({ 110, 220, 440 }, delays(3, always(1)))
    assert.equal(30000, backoff.delay(20, opts, always(1)))
    assert.equal(27000, backoff.delay(20, opts, always(0)))
  end)

  it("stays a number however often it has failed", function()
    assert.equal(30000, backoff.delay(1000000, opts, always(0.5)))
    assert.equal(0, backoff.delay(1000000, { delay = 0, max_delay = 5 }, always(0.5)))
  end)

  it("grows whatever chance says", function()
    for _ = 1, 50 do
      local list = delays(8, math.random)
      for index = 2, #list do
        assert.is_true(list[index] > list[index - 1])
      end
    end
  end)
end)
