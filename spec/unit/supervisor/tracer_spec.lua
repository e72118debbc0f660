local FakeClock = require "spec.support.fake_clock"
local Tracer = require "mw.supervisor.tracer"

describe("A tracer", function()
  local clock, kicks, answers, tracer

  before_each(function()
    clock, kicks, answers = FakeClock.new(), 0, {}
    tracer = Tracer.new(function()
      kicks = kicks + 1
    end, clock)
  end)

  local function ask()
    tracer:ask(function(text)
      answers[#answers + 1] = text
    end)
  end

  it("sends no signal before the first report, which is empty: it would kill", function()
    ask()
    clock:advance(0)
    assert.equal(0, kicks)
    assert.same({ "its script has not begun, or is over" }, answers)
  end)

  it("gives the report that follows its signal, however it is cut", function()
    tracer:push "\0"
    ask()
    assert.equal(1, kicks)
    for piece in ("stack traceback:\n\tapp.lua:7\0"):gmatch "." do
      tracer:push(piece)
    end
    assert.same({ "stack traceback:\n\tapp.lua:7" }, answers)
    assert.equal(0, clock:timer_count())
    clock:advance(5000)
    assert.equal(1, kicks)
  end)

  it("sends a second signal where the first was not answered", function()
    tracer:push "\0"
    ask()
    clock:advance(500)
    assert.equal(2, kicks)
    tracer:push "no Lua code runs\0"
    assert.same({ "no Lua code runs" }, answers)
  end)

  it("says so where none is answered", function()
    tracer:push "\0"
    ask()
    clock:advance(1000)
    assert.equal(1, #answers)
    assert.matches("nothing answers", answers[1], 1, true)
    tracer:push "too late\0"
    assert.equal(1, #answers)
  end)

  it("answers at once when the worker ends", function()
    tracer:push "\0"
    ask()
    tracer:close()
    assert.equal(1, #answers)
    assert.equal(0, clock:timer_count())
  end)

  it("goes on where that of an earlier image has been, in the middle of a report", function()
    tracer:push "\0stuck "
    local before = tracer
    tracer = Tracer.new(function() end, clock)
    tracer:adopt(before:heritage())
    ask()
    assert.is_true(tracer:is_asking())
    tracer:push "here\0"
    assert.same({ "stuck here" }, answers)
    assert.is_false(tracer:is_asking())
  end)
end)
