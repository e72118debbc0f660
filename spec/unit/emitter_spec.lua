local emitter = require "mw.emitter"
local errors = require "mw.error"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local timers = require "mw.timers"
local uncaught = require "spec.support.uncaught"

-- An emitter that is as simple as can be: each change makes a new list.
local function plain_emitter()
  local list = {}
  local plain = {}
  local function add(entry)
    list = table.move(list, 1, #list, 1, {})
    list[#list + 1] = entry
  end
  local function remove(matches)
    for index = #list, 1, -1 do
      if matches(list[index]) then
        list = table.move(list, 1, #list, 1, {})
        return table.remove(list, index)
      end
    end
  end
  function plain.on(_, _, fn)
    add { fn = fn }
  end
  function plain.once(_, _, fn)
    add { fn = fn, once = true }
  end
  function plain.off(_, _, fn)
    remove(function(entry)
      return entry.fn == fn
    end)
  end
  function plain.remove_all_listeners()
    list = {}
  end
  function plain.emit()
    for _, entry in ipairs(list) do
      if not entry.fired then
        if entry.once then
          entry.fired = true
          remove(function(other)
            return other == entry
          end)
        end
        entry.fn()
      end
    end
  end
  return plain
end

-- A program by chance: listeners that add, take back and emit. Returns the
-- numbers of the listeners in the order in which they were called.
local function calls_of_program(e, seed)
  local state, depth, calls, fns = seed, 0, {}, {}
  local function random(limit)
    state = (state * 1103515245 + 12345) % 2147483648
    return (state >> 8) % limit + 1
  end
  local function step()
    local fn = fns[random(#fns)]
    local choice = random(12)
    if choice <= 4 then
      e:on("x", fn)
    elseif choice <= 6 then
      e:once("x", fn)
    elseif choice <= 10 then
      e:off("x", fn)
    elseif choice == 11 and random(10) == 1 then
      e:remove_all_listeners "x"
    elseif depth < 3 and #calls < 500 then
      depth = depth + 1
      e:emit "x"
      depth = depth - 1
    end
  end
  for number = 1, 12 do
    fns[number] = function()
      calls[#calls + 1] = number
      step()
    end
  end
  for _ = 1, 200 do
    step()
  end
  return calls
end

describe("an emitter", function()
  local e

  before_each(function()
    e = emitter.new()
  end)

  local function count(names)
    local total = 0
    for _, name in ipairs(names) do
      total = total + e:listener_count(name)
    end
    return total
  end

  describe("on, once, off", function()
    it("calls the listeners in the order in which they were added", function()
      local order = {}
      for number = 1, 5 do
        e:on("x", function()
          order[number] = #order + 1
        end)
      end
      e:emit "x"
      assert.same({ 1, 2, 3, 4, 5 }, order)
    end)

    it("gives the values of the event, nils included", function()
      local got
      e:on("x", function(...)
        got = table.pack(...)
      end)
      e:emit("x", nil, 2, nil)
      assert.same({ n = 3, [2] = 2 }, got)
    end)

    it("tells whether there was a listener", function()
      assert.is_false(e:emit "x")
      e:once("x", function() end)
      assert.is_true(e:emit "x")
      assert.is_false(e:emit "x")
    end)

    it("returns the emitter, so that calls can be chained", function()
      local fn = function() end
      assert.equal(e, e:on("a", fn):once("b", fn):off("a", fn):remove_all_listeners "b")
    end)

    it("takes any value but nil as the name of an event", function()
      local key, calls = {}, 0
      e:on(key, function()
        calls = calls + 1
      end)
      e:emit(key)
      e:emit {}
      assert.equal(1, calls)
      local message = misuse(function()
        e:on(nil, print)
      end)
      assert.equal("on: bad argument 'event' (name of an event expected, got nil)", message)
    end)

    it("calls a listener of once a single time, also when it emits again itself", function()
      local calls = 0
      e:once("x", function()
        calls = calls + 1
        e:emit "x"
      end)
      e:emit "x"
      e:emit "x"
      assert.equal(1, calls)
    end)

    it("calls a listener as often as it was added", function()
      local calls = 0
      local function fn()
        calls = calls + 1
      end
      e:on("x", fn):on("x", fn):once("x", fn)
      e:emit "x"
      assert.equal(3, calls)
      assert.equal(2, e:listener_count "x")
    end)

    it("takes back the listener that was added last", function()
      local order = {}
      local function a()
        order[#order + 1] = "a"
      end
      e:on("x", a)
      e:on("x", function()
        order[#order + 1] = "b"
      end)
      e:on("x", a)
      e:off("x", a)
      e:emit "x"
      assert.same({ "a", "b" }, order)
    end)

    it("takes back a listener of once", function()
      local function fn()
        error "never"
      end
      e:once("x", fn):off("x", fn)
      assert.is_false(e:emit "x")
    end)

    it("lets off of an unknown listener pass", function()
      e:off("x", print)
      e:on("x", print):off("x", error)
      assert.equal(1, e:listener_count "x")
    end)

    it("goes on with the listeners that there were when the event came", function()
      local order = {}
      local function late()
        order[#order + 1] = "late"
      end
      local function second()
        order[#order + 1] = "second"
      end
      e:on("x", function()
        order[#order + 1] = "first"
        e:off("x", second)
        e:on("x", late)
      end)
      e:on("x", second)
      e:emit "x"
      assert.same({ "first", "second" }, order)
      e:emit "x"
      assert.same({ "first", "second", "first", "late" }, order)
    end)

    it("calls what lists that are copied at each change would call, whatever listeners do", function()
      local total = 0
      for seed = 1, 60 do
        local expected = calls_of_program(plain_emitter(), seed)
        assert.same(expected, calls_of_program(emitter.new(), seed))
        total = total + #expected
      end
      assert.is_true(total > 1000)
    end)

    it("raises at the caller's line for what is no function", function()
      for _, method in ipairs { "on", "once", "off" } do
        local message = misuse(function()
          e[method](e, "x", 5)
        end)
        assert.equal(method .. ": bad argument 'fn' (function expected, got number)", message)
      end
    end)

    it("counts and lists the listeners", function()
      local function a() end
      local function b() end
      assert.equal(0, e:listener_count "x")
      e:on("x", a):once("x", b)
      assert.equal(2, e:listener_count "x")
      assert.same({ a, b }, e:listeners "x")
    end)

    it("takes back all listeners of one event, or of all", function()
      e:on("x", print):on("y", print):on("z", print)
      e:remove_all_listeners "x"
      assert.equal(0, e:listener_count "x")
      assert.equal(2, count { "y", "z" })
      e:remove_all_listeners()
      assert.equal(0, count { "y", "z" })
    end)
  end)

  describe("a listener that raises", function()
    it("does not stop the others, and its error is an uncaught exception", function()
      local order = {}
      local list = uncaught(function()
        e:on("x", function()
          error("first", 0)
        end)
        e:on("x", function()
          order[#order + 1] = "second"
        end)
        e:on("x", function()
          error { code = "EX" }
        end)
        e:on("x", function()
          order[#order + 1] = "fourth"
        end)
        assert.is_true(e:emit "x")
      end)
      assert.same({ "second", "fourth" }, order)
      assert.equal(2, #list)
      assert.equal("first", list[1].error)
      assert.equal("uncaught_exception", list[1].origin)
      assert.matches("emitter_spec", list[1].traceback)
      assert.same({ code = "EX" }, list[2].error)
    end)

    it("keeps a listener of once away from the next event all the same", function()
      local calls = 0
      uncaught(function()
        e:once("x", function()
          calls = calls + 1
          error "no"
        end)
        e:emit "x"
        e:emit "x"
      end)
      assert.equal(1, calls)
    end)
  end)

  describe("an error event", function()
    it("is an uncaught exception where nobody listens", function()
      local err = errors.new("ETEST", "ETEST: a test")
      local list = uncaught(function()
        assert.is_false(e:emit("error", err))
      end)
      assert.equal(1, #list)
      assert.equal(err, list[1].error)
    end)

    it("has an error object where it was emitted without one", function()
      local list = uncaught(function()
        e:emit "error"
      end)
      assert.equal("ERR_UNHANDLED_ERROR", list[1].error.code)
    end)

    it("is an event like others where somebody listens", function()
      local got
      local list = uncaught(function()
        e:on("error", function(err)
          got = err
        end)
        assert.is_true(e:emit("error", "boom"))
      end)
      assert.equal("boom", got)
      assert.equal(0, #list)
    end)
  end)

  describe("listeners and coroutines", function()
    local function message_of(fn, ...)
      local arguments = table.pack(...)
      local message
      e:once("x", function()
        message = select(2, pcall(fn, table.unpack(arguments, 1, arguments.n)))
      end)
      e:emit "x"
      return message
    end

    it("can't wait in the main script, and say what to do", function()
      assert.matches("can't wait for the end of a sleep here: wait in a task %(mw%.go", message_of(mw.sleep, 1))
    end)

    it("can't wait where a task emits", function()
      local message, slept
      local task = mw.go(function()
        message = message_of(mw.sleep, 1)
        slept = mw.sleep(1)
      end)
      task:join()
      assert.matches("can't wait for", message)
      assert.is_true(slept)
    end)

    it("can't yield, so that the other listeners get their turn", function()
      local called = false
      local list = uncaught(function()
        e:on("x", function()
          coroutine.yield()
        end)
        e:on("x", function()
          called = true
        end)
        coroutine.wrap(function()
          e:emit "x"
        end)()
        assert.is_true(mw.go(function()
          e:emit "x"
          return true
        end):join())
      end)
      assert.is_true(called)
      assert.equal(2, #list)
      assert.is_true(mw.sleep(1))
    end)

    it("may start tasks, which wait", function()
      local done = false
      e:on("x", function()
        mw.go(function()
          mw.sleep(1)
          done = true
          e:emit "over"
        end)
      end)
      e:emit "x"
      e:wait "over"
      assert.is_true(done)
    end)
  end)

  describe("wait", function()
    local function soon(...)
      timers.set_timeout(function(...)
        e:emit(...)
      end, 1, ...)
    end

    it("returns the values of the event", function()
      soon("x", 1, nil, "three")
      assert.same({ n = 3, 1, nil, "three" }, table.pack(e:wait "x"))
    end)

    it("returns true where the event has no values", function()
      soon "x"
      assert.same({ n = 1, true }, table.pack(e:wait "x"))
    end)

    it("returns false and nil values as they are", function()
      soon("x", false)
      assert.same({ n = 1, false }, table.pack(e:wait "x"))
      soon("x", nil, 2)
      assert.same({ n = 2, nil, 2 }, table.pack(e:wait "x"))
    end)

    it("leaves no listener behind", function()
      soon "x"
      e:wait("x", 1000)
      assert.equal(0, count { "x", "error" })
    end)

    it("returns nil and ETIMEDOUT when the time is over, and takes its listeners back", function()
      local before = mw.process.hrtime()
      local value, err = e:wait("never", 20)
      assert.is_true(mw.process.hrtime() - before >= 20000000)
      assert.is_nil(value)
      assert.equal("ETIMEDOUT", err.code)
      assert.matches("^ETIMEDOUT: connection timed out, wait for 'never' %(20 ms%)$", tostring(err))
      assert.equal(0, count { "never", "error" })
    end)

    it("counts a timeout that is longer than the clock as none", function()
      soon "x"
      assert.is_true(e:wait("x", 1e300))
      soon "x"
      assert.is_true(e:wait("x", math.huge))
    end)

    it("ends with nil and the error at an error event, which counts as listened to", function()
      local value, err
      local list = uncaught(function()
        soon("error", "boom")
        value, err = e:wait "x"
      end)
      assert.is_nil(value)
      assert.equal("boom", err)
      assert.equal(0, #list)
    end)

    it("has an error for an error event without one", function()
      soon "error"
      local value, err = e:wait "x"
      assert.is_nil(value)
      assert.equal("ERR_UNHANDLED_ERROR", err.code)
    end)

    it("returns the error itself where error is what it waits for", function()
      soon("error", "boom")
      assert.same({ n = 1, "boom" }, table.pack(e:wait "error"))
      soon "error"
      assert.same({ n = 1, true }, table.pack(e:wait "error"))
    end)

    it("returns nil and an error at once on an object that was destroyed", function()
      e.destroyed = true
      local value, err = e:wait "x"
      assert.is_nil(value)
      assert.equal("ERR_STREAM_DESTROYED", err.code)
      assert.equal(0, count { "x", "error" })
    end)

    it("wakes all who wait, each once", function()
      local woken = 0
      local tasks = {}
      for number = 1, 3 do
        tasks[number] = mw.go(function()
          local value = e:wait "x"
          woken = woken + value
        end)
      end
      mw.sleep(2)
      e:emit("x", 1)
      e:emit("x", 100)
      for _, task in ipairs(tasks) do
        task:join()
      end
      assert.equal(3, woken)
    end)

    it("resumes nobody before the emit has returned", function()
      local order = {}
      local task = mw.go(function()
        e:wait "x"
        order[#order + 1] = "resumed"
      end)
      mw.sleep(2)
      e:emit "x"
      order[#order + 1] = "emit has returned"
      task:join()
      assert.same({ "emit has returned", "resumed" }, order)
    end)

    it("raises for a bad event or time", function()
      for _, arguments in ipairs { { nil }, { "x", -1 }, { "x", 0 / 0 }, { "x", "1" }, { "x", {} } } do
        local message = misuse(function()
          e:wait(arguments[1], arguments[2])
        end)
        assert.matches("^wait: bad argument '", message)
      end
      assert.equal(0, count { "x", "error" })
    end)
  end)

  describe("class", function()
    it("makes emitters with methods and a name of their own", function()
      local Door = emitter.class "spec.door"
      function Door:open()
        self:emit "open"
        return self
      end
      local door = setmetatable({}, Door)
      local opened = 0
      door:on("open", function()
        opened = opened + 1
      end)
      door:open()
      assert.equal(1, opened)
      assert.matches("^spec%.door: ", tostring(door))
    end)

    it("hands its methods down", function()
      local Parent = emitter.class "spec.parent"
      function Parent.who()
        return "parent"
      end
      local Child = emitter.class("spec.child", Parent)
      assert.equal("parent", setmetatable({}, Child):who())
    end)
  end)

  it("emits from within a listener, deeply", function()
    local depth = 0
    e:on("x", function()
      depth = depth + 1
      if depth < 100 then
        e:emit "x"
      end
    end)
    local list = uncaught(function()
      e:emit "x"
    end)
    assert.equal(0, #list)
    assert.equal(100, depth)
  end)
end)
