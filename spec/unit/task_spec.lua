local child_process = require "mw.child_process"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local eventually = require "spec.support.eventually"
local leaks = require "spec.support.leaks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local process = require "mw.process"
local run_mwrun = require "spec.support.run_mwrun"
local stream = require "mw.stream"
local tracebacks = require("mw.task").tracebacks
local timers = require "mw.timers"
local uncaught = require "spec.support.uncaught"
local uv = require "luv"

-- A value that notes in `list` that it was closed, and with which error.
local function closer(list, name)
  return setmetatable({}, {
    __close = function(_, err)
      list[#list + 1] = name
      list[name] = err
    end,
  })
end

local function nothing() end

describe("a task", function()
  it("starts on the next turn of the loop, with its arguments", function()
    local got
    local task = mw.go(function(...)
      got = table.pack(...)
    end, 1, nil, "c", nil)
    assert.is_nil(got)
    assert.equal("waiting", task:status())
    process.next_tick(function()
      assert.is_nil(got)
    end)
    task:join()
    assert.same({ n = 4, 1, nil, "c" }, got)
  end)

  it("starts in the order of the calls", function()
    local order = {}
    for number = 1, 5 do
      mw.go(function()
        order[#order + 1] = number
      end)
    end
    mw.sleep(2)
    assert.same({ 1, 2, 3, 4, 5 }, order)
  end)

  it("knows what it does", function()
    local e = emitter.new()
    local task, inside
    task = mw.go(function()
      inside = task:status()
      e:wait "go"
    end)
    assert.equal("waiting", task:status())
    mw.sleep(2)
    assert.equal("running", inside)
    assert.equal("waiting", task:status())
    e:emit "go"
    task:join()
    assert.equal("done", task:status())
  end)

  it("can start tasks and wait for them", function()
    local value = mw.go(function()
      local inner = mw.go(function()
        mw.sleep(1)
        return "inner"
      end)
      return inner:join() .. " outer"
    end):join()
    assert.equal("inner outer", value)
  end)

  it("is no place for coroutine.yield", function()
    local closed = {}
    local list = uncaught(function()
      local task = mw.go(function()
        local _ <close> = closer(closed, "variable")
        coroutine.yield(1)
      end)
      mw.sleep(2)
      assert.equal("failed", task:status())
    end)
    assert.equal(1, #list)
    assert.matches("not by coroutine.yield", list[1].error)
    assert.matches("task_spec", list[1].traceback)
    assert.same({ "variable" }, { table.unpack(closed) })
  end)

  it("raises for what is no function", function()
    local message = misuse(function()
      mw.go "x"
    end)
    assert.equal("go: bad argument 'fn' (function expected, got string)", message)
  end)
end)

describe("join", function()
  it("returns what the function returned, nils included", function()
    local results = table.pack(mw.go(function()
      return nil, 2, nil
    end):join())
    assert.same({ n = 3, [2] = 2 }, results)
  end)

  it("returns nothing where the function returned nothing", function()
    assert.equal(0, select("#", mw.go(nothing):join()))
  end)

  it("may be called by many, and again afterwards", function()
    local task = mw.go(function()
      mw.sleep(3)
      return "value"
    end)
    local joiners = {}
    for number = 1, 3 do
      joiners[number] = mw.go(function()
        return task:join()
      end)
    end
    for number = 1, 3 do
      assert.equal("value", joiners[number]:join())
    end
    assert.equal("value", task:join())
  end)

  it("returns nil and the error of a task that failed, as it was raised", function()
    local err = errors.new("ETEST", "ETEST: a test")
    local list = uncaught(function()
      local task = mw.go(function()
        mw.sleep(1)
        error(err)
      end)
      local value, got = task:join()
      assert.is_nil(value)
      assert.equal(err, got)
      assert.equal("failed", task:status())
      assert.equal(err, select(2, task:join()))
      mw.sleep(2)
    end)
    assert.equal(0, #list)
  end)

  it("has an error for a task that raised nil", function()
    local value, err = mw.go(error):join()
    assert.is_nil(value)
    assert.equal("ERR_UNHANDLED_ERROR", err.code)
  end)

  it("returns nil and an ABORT_ERR for a task that was cancelled", function()
    local task = mw.go(mw.sleep, 10000)
    mw.sleep(2)
    task:cancel()
    local value, err = task:join()
    assert.is_nil(value)
    assert.equal("ABORT_ERR", err.code)
    assert.equal("cancelled", task:status())
  end)

  it("gives (err, ...) to a callback, later, and counts as joining", function()
    local list = uncaught(function()
      local good, bad
      local done = mw.go(function()
        return 1, nil, 3
      end)
      assert.is_nil(done:join(function(...)
        good = table.pack(...)
      end))
      mw.go(function()
        error("no", 0)
      end):join(function(...)
        bad = table.pack(...)
      end)
      assert.is_nil(good)
      mw.sleep(3)
      assert.same({ n = 4, nil, 1, nil, 3 }, good)
      assert.same({ n = 1, "no" }, bad)
      local again
      done:join(function(...)
        again = table.pack(...)
      end)
      assert.is_nil(again)
      mw.sleep(1)
      assert.same(good, again)
    end)
    assert.equal(0, #list)
  end)

  it("of a task by itself raises", function()
    local task
    task = mw.go(function()
      return task:join()
    end)
    local value, err = task:join()
    assert.is_nil(value)
    assert.matches("join: a task can't wait for its own end", err)
  end)

  it("raises for a callback that is none", function()
    local task = mw.go(nothing)
    local message = misuse(function()
      task:join(5)
    end)
    assert.equal("join: bad argument 'callback' (function expected, got 5)", message)
    task:join()
  end)
end)

describe("an error in a task that nobody joins", function()
  it("is an uncaught exception with the origin unhandled_rejection and the traceback of the task", function()
    local list = uncaught(function()
      mw.go(function()
        local function deep()
          error("boom", 0)
        end
        mw.sleep(1)
        deep()
      end)
      mw.sleep(4)
    end)
    assert.equal(1, #list)
    assert.equal("boom", list[1].error)
    assert.equal("unhandled_rejection", list[1].origin)
    assert.matches("in upvalue 'deep'", (list[1].traceback:gsub("local 'deep'", "upvalue 'deep'")))
  end)

  it("is none where somebody joins in the same tick", function()
    local list = uncaught(function()
      local e = emitter.new()
      local task
      local waiter = mw.go(function()
        e:wait "now"
        return select(2, task:join())
      end)
      mw.sleep(1)
      task = mw.go(function()
        e:emit "now"
        error("late", 0)
      end)
      assert.equal("late", waiter:join())
    end)
    assert.equal(0, #list)
  end)

  it("is one where the only joiner was cancelled before", function()
    local list = uncaught(function()
      local e = emitter.new()
      local task = mw.go(function()
        e:wait "go"
        error("alone", 0)
      end)
      local joiner = mw.go(function()
        task:join()
      end)
      mw.sleep(1)
      joiner:cancel()
      mw.sleep(1)
      e:emit "go"
      mw.sleep(1)
    end)
    assert.equal("alone", list[1].error)
    assert.equal(1, #list)
  end)

  it("ends the process with status 1, message and traceback on stderr", function()
    local result = run_mwrun { "-e", 'require("mw").go(function() error "in a task" end)' }
    assert.equal(1, result.status)
    assert.matches("in a task\nstack traceback:\n.*%(command line%)", result.stderr)
  end)
end)

describe("cancel", function()
  local closed

  before_each(function()
    closed = {}
  end)

  -- Starts a task, lets it wait, cancels it; returns it, ended.
  local function cancelled(fn)
    local task = mw.go(function()
      local _ <close> = closer(closed, "outer")
      do
        local _ <close> = closer(closed, "inner")
        fn()
        closed[#closed + 1] = "went on"
      end
    end)
    mw.sleep(3)
    assert.equal("waiting", task:status())
    task:cancel()
    local value, err = task:join()
    assert.is_nil(value)
    assert.equal("ABORT_ERR", err.code)
    assert.same({ "inner", "outer" }, { table.unpack(closed) })
    assert.equal("ABORT_ERR", closed.inner.code)
    return task
  end

  it("ends a sleep, closes the variables to be closed, and leaves no timer", function()
    local before = leaks.handle_count()
    assert.equal("cancelled", cancelled(function()
      mw.sleep(100000)
    end):status())
    assert.equal(before, leaks.handle_count())
  end)

  it("ends the wait for an event and takes its listeners back", function()
    local e = emitter.new()
    cancelled(function()
      e:wait("never", 100000)
    end)
    assert.equal(0, e:listener_count "never" + e:listener_count "error")
  end)

  it("ends a read and leaves the data to the next reader", function()
    local s = stream.readable()
    cancelled(function()
      s:read()
    end)
    closed = {}
    cancelled(function()
      for _ in s:lines() do -- luacheck: ignore
      end
    end)
    s:push "for the next"
    assert.equal("for the next", s:read())
  end)

  it("ends exec, and the command", function()
    local children = #leaks.children()
    cancelled(function()
      child_process.exec "exec sleep 100"
    end)
    eventually(function()
      return #leaks.children() == children
    end)
  end)

  it("ends the wait for another task, which goes on", function()
    local e = emitter.new()
    local other = mw.go(function()
      e:wait "go"
      return "on"
    end)
    cancelled(function()
      other:join()
    end)
    e:emit "go"
    assert.equal("on", other:join())
  end)

  it("ends a wait within pcall by an error that can be told from others", function()
    local got
    local task = mw.go(function()
      got = select(2, pcall(mw.sleep, 100000))
      error(got)
    end)
    mw.sleep(2)
    task:cancel()
    task:join()
    assert.equal("ABORT_ERR", got.code)
    assert.matches("^ABORT_ERR: the task was cancelled$", tostring(got))
    assert.equal("cancelled", task:status())
  end)

  it("lets the cleanup wait", function()
    local steps = {}
    local task = mw.go(function()
      local _ <close> = setmetatable({}, {
        __close = function()
          mw.sleep(2)
          steps[#steps + 1] = "closed"
        end,
      })
      pcall(mw.sleep, 100000)
      mw.sleep(2)
      steps[#steps + 1] = "caught"
    end)
    mw.sleep(2)
    task:cancel()
    assert.same({}, steps)
    task:join()
    assert.same({ "caught", "closed" }, steps)
    assert.equal("cancelled", task:status())
  end)

  it("does not hang where a task catches the error and goes on", function()
    local rounds = 0
    local task = mw.go(function()
      while rounds < 3 do
        pcall(mw.sleep, 1)
        rounds = rounds + 1
      end
    end)
    mw.sleep(2)
    task:cancel()
    task:join()
    assert.equal(3, rounds)
  end)

  it("keeps a task that has not started from starting", function()
    local started = false
    local task = mw.go(function()
      started = true
    end)
    task:cancel()
    assert.equal("cancelled", task:status())
    mw.sleep(3)
    assert.is_false(started)
    assert.equal("ABORT_ERR", select(2, task:join()).code)
  end)

  it("of a task by itself ends it at its next wait", function()
    local steps = {}
    local task
    task = mw.go(function()
      task:cancel()
      steps[1] = "goes on"
      mw.sleep(1)
      steps[2] = "never"
    end)
    assert.equal("ABORT_ERR", select(2, task:join()).code)
    assert.same({ "goes on" }, steps)
  end)

  it("of a task by itself that does not wait any more counts all the same", function()
    local task
    task = mw.go(function()
      task:cancel()
      return "value"
    end)
    assert.is_nil((task:join()))
    assert.equal("cancelled", task:status())
  end)

  it("twice is harmless, and so is that of one that has ended", function()
    local done = mw.go(function()
      return 1
    end)
    assert.equal(1, done:join())
    done:cancel()
    assert.equal("done", done:status())
    assert.equal(1, done:join())

    local caught = 0
    local task = mw.go(function()
      for _ = 1, 2 do
        if not pcall(mw.sleep, 5) then
          caught = caught + 1
        end
      end
    end)
    mw.sleep(1)
    task:cancel()
    task:cancel()
    task:join()
    task:cancel()
    assert.equal(1, caught)
    assert.equal("cancelled", task:status())
  end)

  it("does not lose an answer that is there already", function()
    local e = emitter.new()
    local got
    local task = mw.go(function()
      got = e:wait "x"
      mw.sleep(1)
      got = "never"
    end)
    mw.sleep(2)
    e:emit("x", "answer")
    task:cancel()
    task:join()
    assert.equal("answer", got)
    assert.equal("cancelled", task:status())
  end)

  it("reports no error as uncaught", function()
    local list = uncaught(function()
      local task = mw.go(mw.sleep, 10000)
      mw.sleep(1)
      task:cancel()
      mw.sleep(3)
    end)
    assert.equal(0, #list)
  end)
end)

describe("waiting", function()
  local message_pattern = "can't wait for the end of a sleep here: wait in a task %(mw%.go%(function%(%) %.%.%. end%)%)"

  local function refusal()
    return misuse(function()
      mw.sleep(1)
    end)
  end

  it("raises in a plain coroutine, and says what to do", function()
    assert.matches(message_pattern, coroutine.wrap(refusal)())
  end)

  it("raises in a plain coroutine of a task, and the task can go on", function()
    local message = mw.go(function()
      local text = coroutine.wrap(refusal)()
      mw.sleep(1)
      return text
    end):join()
    assert.matches(message_pattern, message)
  end)

  it("raises in a timer's function, an immediate, a tick and a callback of luv", function()
    local messages = {}
    local function try()
      messages[#messages + 1] = refusal()
    end
    timers.set_timeout(try, 1)
    timers.set_immediate(try)
    process.next_tick(try)
    uv.fs_stat("/", try)
    eventually(function()
      return #messages == 4
    end)
    for _, message in ipairs(messages) do
      assert.matches(message_pattern, message)
    end
  end)

  it("raises in the handler of a signal and of the exit", function()
    local result = run_mwrun {
      "-e",
      [[
        local mw = require "mw"
        local process = mw.process
        local function try(name)
          return function()
            print(name, select(2, pcall(mw.sleep, 1)))
          end
        end
        process.on("SIGUSR1", try "signal")
        process.on("exit", try "exit")
        process.on("before_exit", try "before_exit")
        process.kill(process.pid, "SIGUSR1")
        mw.sleep(5)
      ]],
    }
    assert.equal("", result.stderr)
    for name, message in result.stdout:gmatch "(%S+)\t([^\n]*)\n" do
      assert.matches("can't wait for the end of a sleep here", message, 1, false, name)
    end
    assert.equal(3, select(2, result.stdout:gsub("\n", "")))
  end)

  it("raises in the listener of uncaught exceptions, which ends the process with 7", function()
    local result = run_mwrun {
      "-e",
      [[
        local mw = require "mw"
        mw.process.on("uncaught_exception", function() mw.sleep(1) end)
        error "first"
      ]],
    }
    assert.equal(7, result.status)
    assert.matches("can't wait for the end of a sleep here", result.stderr)
  end)

  it("works within pcall and within iterators", function()
    local seen = {}
    local function each()
      mw.sleep(1)
      return #seen < 3 and #seen + 1 or nil
    end
    local function run()
      for number in each do
        seen[#seen + 1] = number
      end
      return select("#", pcall(function()
        mw.sleep(1)
        return 1, 2, 3
      end))
    end
    assert.equal(4, mw.go(run):join())
    assert.same({ 1, 2, 3 }, seen)
    seen = {}
    assert.equal(4, run())
  end)

  it("gives an error through pcall as it would without", function()
    local ok, err = mw.go(function()
      return pcall(function()
        mw.sleep(1)
        error("inside", 0)
      end)
    end):join()
    assert.is_false(ok)
    assert.equal("inside", err)
  end)

  it("leaves generators of coroutine.wrap in a task alone", function()
    local sum = mw.go(function()
      local total = 0
      for number in
        coroutine.wrap(function()
          for number = 1, 4 do
            coroutine.yield(number)
          end
        end)
      do
        mw.sleep(1)
        total = total + number
      end
      return total
    end):join()
    assert.equal(10, sum)
  end)

  it("suspends that task only", function()
    local order = {}
    local slow = mw.go(function()
      mw.sleep(20)
      order[#order + 1] = "slow"
    end)
    local quick = mw.go(function()
      mw.sleep(2)
      order[#order + 1] = "quick"
    end)
    slow:join()
    quick:join()
    assert.same({ "quick", "slow" }, order)
  end)

  it("in the main script runs the loop until the answer is there, and no longer", function()
    local calls = 0
    local timer = timers.set_interval(function()
      calls = calls + 1
    end, 2)
    assert.is_true(mw.sleep(20))
    assert.is_true(calls >= 1)
    timer:close()
    local far = timers.set_timeout(print, 100000)
    assert.is_true(mw.sleep(1))
    far:close()
  end)

  it("in the main script that nothing can end says what for, and exits 13", function()
    local result = run_mwrun {
      "-e",
      [[
        local mw = require "mw"
        mw.process.on("exit", function(code) print("exit handler", code) end)
        mw.timers.set_timeout(print, 100000):unref()
        local function in_here()
          return (mw.emitter.new():wait "the flood")
        end
        in_here()
      ]],
    }
    assert.equal(13, result.status)
    assert.equal("exit handler\t13\n", result.stdout)
    assert.matches(
      "the main script waits for the event 'the flood', and nothing can bring it any more\nstack traceback:",
      result.stderr
    )
    assert.matches("%(command line%):5: in %S+ 'in_here'", (result.stderr:gsub("upvalue", "local")))
  end)

  it("in the main script asks before_exit once more before it gives up", function()
    local result = run_mwrun {
      "-e",
      [[
        local mw = require "mw"
        local e = mw.emitter.new()
        mw.process.once("before_exit", function()
          mw.timers.set_timeout(function() e:emit("x", "saved") end, 1)
        end)
        print(e:wait "x")
      ]],
    }
    assert.equal("saved\n", result.stdout)
    assert.equal(0, result.status)
  end)
end)

describe("sleep", function()
  it("returns true after its time", function()
    local start = process.hrtime()
    assert.same({ n = 1, true }, table.pack(mw.sleep(15)))
    assert.is_true(process.hrtime() - start >= 15000000)
  end)

  it("calls a callback with (nil, true), and returns the timer then", function()
    local got
    local timer = mw.sleep(1, function(...)
      got = table.pack(...)
    end)
    assert.is_nil(got)
    assert.is_true(timer:has_ref())
    mw.sleep(5)
    assert.same({ n = 2, nil, true }, got)
    timers.clear_timeout(mw.sleep(1, error))
    mw.sleep(5)
  end)

  it("raises for what is no time and no callback", function()
    local message = misuse(function()
      mw.sleep()
    end)
    assert.equal("sleep: bad argument 'ms' (number of milliseconds expected, got nil)", message)
    message = misuse(function()
      mw.sleep(1, 5)
    end)
    assert.equal("sleep: bad argument 'callback' (function expected, got 5)", message)
  end)
end)

describe("many waits", function()
  local function kilobytes()
    collectgarbage()
    collectgarbage()
    return collectgarbage "count"
  end

  it("of two tasks that wake each other overflow no stack and keep nothing", function()
    local ping, pong = emitter.new(), emitter.new()
    local rounds = 100000
    local before = kilobytes()
    local player = mw.go(function()
      for _ = 1, rounds do
        ping:wait "x"
        pong:emit "x"
      end
      return "player"
    end)
    local server = mw.go(function()
      for _ = 1, rounds do
        ping:emit "x"
        pong:wait "x"
      end
      return "server"
    end)
    assert.equal("server", server:join())
    assert.equal("player", player:join())
    player, server = nil, nil -- luacheck: ignore
    assert.is_true(kilobytes() - before < 100)
  end)

  it("of one task that reads what is there already need no depth either", function()
    local s = stream.readable()
    s:push(("x"):rep(20000))
    local count = mw.go(function()
      local count = 0
      while s:readable_length() > 0 do
        s:read(1)
        count = count + 1
      end
      return count
    end):join()
    assert.equal(20000, count)
  end)

  local function sleep_at_once()
    local tasks, sum = {}, 0
    for number = 1, 10000 do
      tasks[number] = mw.go(function()
        mw.sleep(50)
        return number
      end)
    end
    for _, task in ipairs(tasks) do
      sum = sum + task:join()
    end
    return sum
  end

  -- What lists have grown to the first time, they need not grow to again.
  it("of ten thousand tasks that sleep at once end in time, and keep nothing", function()
    local start = process.hrtime()
    assert.equal(50005000, sleep_at_once())
    assert.is_true(process.hrtime() - start < 5e9)
    local before = kilobytes()
    assert.equal(50005000, sleep_at_once())
    eventually(function() -- the last timers close in the next turns
      return kilobytes() - before < 100
    end)
  end)

  it("for one event by ten thousand tasks cost no more than for others", function()
    local e = emitter.new()
    local woken = 0
    local start = os.clock()
    local tasks = {}
    for number = 1, 10000 do
      tasks[number] = mw.go(function()
        local value = e:wait("x", 100000)
        woken = woken + value
      end)
    end
    mw.sleep(1)
    assert.equal(10000, e:listener_count "x")
    e:emit("x", 1)
    assert.equal(0, e:listener_count "x" + e:listener_count "error")
    for _, task in ipairs(tasks) do
      task:join()
    end
    assert.equal(10000, woken)
    assert.is_true(os.clock() - start < 2)
  end)

  it("of chains of tasks that join each other resolve", function()
    local last = mw.go(function()
      mw.sleep(1)
      return 0
    end)
    for _ = 1, 2000 do
      local previous = last
      last = mw.go(function()
        return previous:join() + 1
      end)
    end
    assert.equal(2000, last:join())
  end)
end)

describe("the tracebacks of tasks", function()
  local first_line = debug.getinfo(1, "l").currentline + 2
  local function wait_here()
    mw.sleep(100000)
  end

  it("are of those that wait, and no more than are asked for", function()
    local tasks = {}
    for number = 1, 3 do
      tasks[number] = mw.go(wait_here)
    end
    mw.go(function() end):join()
    local place = ("task_spec.lua:%d:"):format(first_line)
    local _, count = tracebacks(100):gsub(place, "")
    assert.equal(3, count)
    assert.equal(2, select(2, tracebacks(2):gsub("a task that waits:", "")))
    for _, waiting in ipairs(tasks) do
      waiting:cancel()
      waiting:join()
    end
    assert.is_nil(tracebacks(100):find(place, 1, true))
  end)
end)
