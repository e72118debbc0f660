local emitter = require "mw.emitter"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local process = require "mw.process"
local timers = require "mw.timers"
local uncaught = require "spec.support.uncaught"
local uv = require "luv"

local set_timeout, set_interval, set_immediate = timers.set_timeout, timers.set_interval, timers.set_immediate
local next_tick = process.next_tick

local function milliseconds()
  return process.hrtime() / 1e6
end

-- Stays in Lua, as a program does that computes.
local function be_busy(ms)
  local start = milliseconds()
  while milliseconds() - start < ms do -- luacheck: ignore
  end
end

-- A function that notes words, and the words so far.
local function notes()
  local words = {}
  return function(word)
    return function()
      words[#words + 1] = word
    end
  end, function()
    return table.concat(words, " ")
  end
end

describe("the phases of the loop", function()
  local note, text

  before_each(function()
    note, text = notes()
  end)

  it("run ticks first, then timers that are due, then immediates", function()
    set_immediate(note "immediate")
    set_timeout(note "timer", 1)
    next_tick(note "tick")
    note "main"()
    be_busy(3)
    mw.sleep(5)
    assert.equal("main tick timer immediate", text())
  end)

  it("run the ticks between each timer and the next", function()
    for number = 1, 3 do
      set_timeout(function()
        note("timer" .. number)()
        next_tick(note("tick" .. number))
      end, 1)
    end
    be_busy(3)
    mw.sleep(5)
    assert.equal("timer1 tick1 timer2 tick2 timer3 tick3", text())
  end)

  it("run the ticks between each immediate and the next", function()
    for number = 1, 3 do
      set_immediate(function()
        note("immediate" .. number)()
        next_tick(note("tick" .. number))
      end)
    end
    mw.sleep(5)
    assert.equal("immediate1 tick1 immediate2 tick2 immediate3 tick3", text())
  end)

  it("run ticks of ticks before anything else", function()
    set_timeout(note "timer", 1)
    set_immediate(note "immediate")
    next_tick(function()
      note "1"()
      next_tick(function()
        note "3"()
        next_tick(note "4")
      end)
    end)
    next_tick(note "2")
    be_busy(3)
    mw.sleep(5)
    assert.equal("1 2 3 4 timer immediate", text())
  end)

  it("run an immediate of an immediate on the next turn", function()
    set_immediate(function()
      note "a"()
      set_immediate(note "a.a")
    end)
    set_immediate(note "b")
    mw.sleep(5)
    assert.equal("a b a.a", text())
  end)

  it("run an immediate of a timer in the same turn, before the next timer phase", function()
    set_timeout(function()
      note "timer"()
      set_timeout(note "timer.timer", 1)
      set_immediate(note "timer.immediate")
      be_busy(3)
    end, 1)
    eventually(function()
      return text():find "timer%.timer"
    end)
    assert.equal("timer timer.immediate timer.timer", text())
  end)

  it("run an immediate of an I/O callback before a timer of it", function()
    uv.fs_stat("/", function()
      set_timeout(note "timer", 1)
      set_immediate(note "immediate")
      next_tick(note "tick")
      note "io"()
      be_busy(3)
    end)
    eventually(function()
      return #text() > 0
    end)
    mw.sleep(15)
    assert.equal("io tick immediate timer", text())
  end)

  it("come in the order of a program of Node's", function()
    local is_busy = true
    set_timeout(function()
      note "t1"()
      next_tick(note "t1.tick")
      set_immediate(note "t1.imm")
    end, 1)
    set_timeout(function()
      note "t2"()
      next_tick(function()
        note "t2.tick"()
        next_tick(note "t2.tick.tick")
      end)
    end, 1)
    set_timeout(note "t3", 1)
    next_tick(function()
      note "tick1"()
      next_tick(note "tick1.1")
    end)
    next_tick(note "tick2")
    be_busy(5)
    set_immediate(function()
      note "i1"()
      next_tick(note "i1.tick")
      set_immediate(note "i1.imm")
    end)
    local third
    set_immediate(function()
      note "i2"()
      timers.clear_immediate(third)
    end)
    third = set_immediate(note "i3")
    set_immediate(function()
      note "i4"()
      is_busy = false
    end)
    note "main"()
    eventually(function()
      return not is_busy
    end)
    assert.equal(
      "main tick1 tick2 tick1.1 t1 t1.tick t2 t2.tick t2.tick.tick t3 i1 i1.tick i2 i4 t1.imm i1.imm",
      text()
    )
  end)
end)

describe("next_tick", function()
  it("gives its arguments, nils included", function()
    local got
    next_tick(function(...)
      got = table.pack(...)
    end, nil, "b", nil)
    assert.is_nil(got)
    mw.sleep(1)
    assert.same({ n = 3, [2] = "b" }, got)
  end)

  it("goes on after an error, which is an uncaught exception", function()
    local note, text = notes()
    local list = uncaught(function()
      next_tick(note "a")
      next_tick(error, "first", 0)
      next_tick(note "b")
      next_tick(error, "second", 0)
      next_tick(note "c")
      mw.sleep(1)
    end)
    assert.equal("a b c", text())
    assert.equal("first", list[1].error)
    assert.equal("second", list[2].error)
    assert.equal(2, #list)
  end)

  it("raises for what is no function", function()
    local message = misuse(function()
      next_tick "x"
    end)
    assert.matches("^next_tick: bad argument 'fn' %(function expected", message)
  end)

  it("keeps nothing of a hundred thousand ticks that follow one another", function()
    local left = 100000
    local function again()
      left = left - 1
      if left > 0 then
        next_tick(again)
      end
    end
    collectgarbage()
    local before = collectgarbage "count"
    again()
    mw.sleep(1)
    collectgarbage()
    assert.equal(0, left)
    assert.is_true(collectgarbage "count" - before < 64)
  end)
end)

describe("set_timeout", function()
  it("runs once, not before its time, with its arguments", function()
    local calls, got, took = 0, nil, nil
    local start = milliseconds()
    set_timeout(function(...)
      calls, got, took = calls + 1, table.pack(...), milliseconds() - start
    end, 20, "a", nil, nil)
    mw.sleep(60)
    assert.equal(1, calls)
    assert.same({ n = 3, "a" }, got)
    assert.is_true(took >= 20)
  end)

  it("does not run early after a long computation", function()
    local took
    be_busy(10)
    local start = milliseconds()
    set_timeout(function()
      took = milliseconds() - start
    end, 10)
    be_busy(5)
    eventually(function()
      return took
    end)
    assert.is_true(took >= 10)
  end)

  it("runs timers of the same time in the order in which they were set", function()
    local order = {}
    for number = 1, 50 do
      set_timeout(function()
        order[#order + 1] = number
      end, 5)
    end
    eventually(function()
      return #order == 50
    end)
    for number = 1, 50 do
      assert.equal(number, order[number])
    end
  end)

  it("runs the shorter one first", function()
    local note, text = notes()
    local longest = set_timeout(note "200", 200)
    set_timeout(note "1", 1)
    set_timeout(note "100", 100)
    eventually(function()
      return not longest:has_ref()
    end)
    assert.equal("1 100 200", text())
  end)

  it("counts no time, a negative one and a fraction of one as a millisecond", function()
    local note, text = notes()
    set_timeout(note "absent")
    set_timeout(note "zero", 0)
    set_timeout(note "negative", -5)
    set_timeout(note "fraction", 0.5)
    mw.sleep(10)
    assert.equal("absent zero negative fraction", text())
  end)

  it("takes times of years", function()
    local timer = set_timeout(error, 2 ^ 40)
    mw.sleep(3)
    assert.is_true(timer:has_ref())
    timer:close()
  end)

  it("raises for what is no function and no time", function()
    local message = misuse(function()
      set_timeout(nil, 1)
    end)
    assert.equal("set_timeout: bad argument 'fn' (function expected, got nil)", message)
    for _, ms in ipairs { "5", 0 / 0, math.huge, {}, true } do
      message = misuse(function()
        set_timeout(print, ms)
      end)
      assert.matches("^set_timeout: bad argument 'ms' %(number of milliseconds expected, got ", message)
    end
  end)

  it("loses no other timer where one raises", function()
    local note, text = notes()
    local list = uncaught(function()
      set_timeout(note "a", 1)
      set_timeout(error, 1, "no", 0)
      set_timeout(note "b", 1)
      mw.sleep(10)
    end)
    assert.equal("a b", text())
    assert.equal(1, #list)
    assert.equal("no", list[1].error)
  end)

  it("is not run after it was ended, also by another timer of the same turn", function()
    local note, text = notes()
    local second
    set_timeout(function()
      timers.clear_timeout(second)
    end, 1)
    second = set_timeout(note "second", 1)
    timers.clear_timeout(set_timeout(note "third", 1))
    be_busy(3)
    mw.sleep(10)
    assert.equal("", text())
  end)
end)

describe("clearing", function()
  it("twice, of nil, and of what has run is harmless", function()
    local timer = set_timeout(function() end, 1)
    local immediate = set_immediate(function() end)
    mw.sleep(5)
    for _ = 1, 2 do
      timers.clear_timeout(timer)
      timers.clear_immediate(immediate)
    end
    timers.clear_timeout(nil)
    timers.clear_interval(nil)
    timers.clear_immediate(nil)
  end)

  it("works for any kind by any of the three", function()
    timers.clear_interval(set_timeout(error, 1))
    timers.clear_timeout(set_interval(error, 1))
    timers.clear_timeout(set_immediate(error))
    mw.sleep(5)
  end)

  it("raises for what is no timer", function()
    local message = misuse(function()
      timers.clear_timeout(5)
    end)
    assert.equal("clear_timeout: bad argument 'timer' (timer or nil expected, got number)", message)
  end)
end)

describe("set_interval", function()
  it("runs again and again, with its arguments, until it is cleared by itself", function()
    local calls, got = 0, nil
    local timer
    timer = set_interval(function(...)
      calls, got = calls + 1, ...
      if calls == 3 then
        timers.clear_interval(timer)
      end
    end, 2, "x")
    eventually(function()
      return calls == 3
    end)
    mw.sleep(10)
    assert.equal(3, calls)
    assert.equal("x", got)
  end)

  it("counts from the beginning of each run", function()
    local last, shortest, runs = nil, math.huge, 0
    local timer = set_interval(function()
      local now = uv.now() -- the clock by which it counts
      last, shortest, runs = now, math.min(shortest, now - (last or -math.huge)), runs + 1
      be_busy(12)
    end, 20)
    -- Of a busy machine, the next run counts.
    eventually(function()
      return runs >= 6 and shortest < 30
    end)
    timer:close()
    assert.is_true(shortest >= 20, shortest)
  end)

  it("leaves the others their turn where it is always late", function()
    local turns = 0
    local timer = set_interval(function()
      be_busy(3)
    end, 1)
    local function immediate()
      turns = turns + 1
      if turns < 5 then
        set_immediate(immediate)
      end
    end
    immediate()
    eventually(function()
      return turns == 5
    end)
    timer:close()
  end)

  it("goes on after an error", function()
    local calls = 0
    local list = uncaught(function()
      local timer = set_interval(function()
        calls = calls + 1
        error "no"
      end, 1)
      eventually(function()
        return calls >= 3
      end)
      timer:close()
    end)
    assert.equal(calls, #list)
  end)
end)

describe("a timer", function()
  it("starts anew by refresh", function()
    local ran_at
    local timer = set_timeout(function()
      ran_at = milliseconds()
    end, 100)
    be_busy(10)
    local start = milliseconds()
    assert.equal(timer, timer:refresh())
    eventually(function()
      return ran_at
    end)
    assert.is_true(ran_at - start >= 100)
  end)

  it("runs again by refresh after it has run, in its function too", function()
    local calls = 0
    local timer
    timer = set_timeout(function()
      calls = calls + 1
      if calls < 3 then
        timer:refresh()
      end
    end, 1)
    eventually(function()
      return calls == 3
    end)
    mw.sleep(5)
    assert.equal(3, calls)
    assert.is_false(timer:has_ref())
    timer:refresh()
    eventually(function()
      return calls == 4
    end)
  end)

  it("stays ended after clear_timeout, refresh or not", function()
    local timer = set_timeout(error, 1)
    timers.clear_timeout(timer)
    timer:refresh()
    assert.is_false(timer:has_ref())
    mw.sleep(5)
  end)

  it("keeps the loop alive, unless it was unreferenced", function()
    local timer = set_timeout(print, 100000)
    assert.is_true(timer:has_ref())
    assert.equal(timer, timer:unref())
    assert.is_false(timer:has_ref())
    assert.equal(timer, timer:ref())
    assert.is_true(timer:has_ref())
    timer:close()
    assert.is_false(timer:has_ref())
    timer:ref():unref():close()
  end)

  it("stays unreferenced by refresh after it has run", function()
    local calls = 0
    local timer = set_timeout(function()
      calls = calls + 1
    end, 1):unref()
    mw.sleep(5)
    timer:refresh()
    assert.is_false(timer:has_ref())
    mw.sleep(5)
    assert.equal(2, calls)
  end)
end)

describe("set_immediate", function()
  it("gives its arguments, nils included", function()
    local got
    set_immediate(function(...)
      got = table.pack(...)
    end, nil, 2, nil)
    mw.sleep(2)
    assert.same({ n = 3, [2] = 2 }, got)
  end)

  it("loses no other immediate where one raises", function()
    local note, text = notes()
    local list = uncaught(function()
      set_immediate(note "a")
      set_immediate(error, "no", 0)
      set_immediate(note "b")
      mw.sleep(5)
    end)
    assert.equal("a b", text())
    assert.equal("no", list[1].error)
  end)

  it("keeps the loop alive until it has run, unless it was unreferenced", function()
    local immediate = set_immediate(function() end)
    assert.is_true(immediate:has_ref())
    assert.is_false(immediate:unref():has_ref())
    assert.is_false(immediate:unref():has_ref())
    assert.is_true(immediate:ref():ref():has_ref())
    mw.sleep(2)
    assert.is_false(immediate:has_ref())
    immediate:ref():close()
    assert.is_false(immediate:has_ref())
  end)

  it("does not make the loop wait for the next event", function()
    local timer = set_timeout(print, 100000)
    local done = emitter.new()
    local turns = 0
    local function again()
      turns = turns + 1
      if turns < 100 then
        set_immediate(again)
      else
        done:emit "done"
      end
    end
    set_immediate(again)
    done:wait "done"
    assert.equal(100, turns)
    timer:close()
  end)

  it("raises for what is no function", function()
    local message = misuse(function()
      set_immediate {}
    end)
    assert.equal("set_immediate: bad argument 'fn' (function expected, got table)", message)
  end)
end)
