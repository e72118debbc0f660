-- send(): what it returns, whom it calls back, and when.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local turns = require "spec.support.turns"

local in_both, end_of = forks.in_both, forks.end_of

-- Takes messages and forgets them, until the parent disconnects.
local sink = "process.on('message', function() end)"

describe("send", function()
  after_each(forks.clean)

  -- IPC-08
  in_both("calls back once, later, in order, with nothing", function(opts)
    local child = forks.start(sink, opts)
    local calls = {}
    for index, size in ipairs { 1, 70000, 10, 500000, 1 } do
      child:send(("x"):rep(size), function(...)
        calls[#calls + 1] = { index, n = select("#", ...), ... }
      end)
      assert.same({}, calls)
    end
    eventually(function()
      return #calls == 5
    end)
    for index = 1, 5 do
      assert.equal(index, calls[index][1])
      assert.is_nil(calls[index][2])
    end
    end_of(child)
    assert.equal(5, #calls)
  end)

  -- IPC-08
  it("goes out where nothing but a callback has sent it", function()
    local child, messages = forks.start [[
      local count = 0
      process.on("message", function(message)
        count = count + 1
        if message == "last" then process.send(count) end
      end)
    ]]
    local function send_batch(left)
      for _ = 1, 999 do
        child:send "one of many"
      end
      child:send(left == 0 and "last" or "the last of a batch", left > 0 and function()
        send_batch(left - 1)
      end or nil)
    end
    send_batch(20)
    assert.equal(21000, forks.received(messages))
    end_of(child)
  end)

  -- IPC-08
  it("calls back for a message that goes out in one piece", function()
    local child = forks.start(sink)
    local called
    child:send(("x"):rep(100000), function(err)
      called = err or "sent"
    end)
    assert.is_nil(called)
    eventually(function()
      return called
    end)
    assert.equal("sent", called)
    end_of(child)
  end)

  -- IPC-10
  in_both("returns false while much is unread, and all arrives", function(opts)
    local child, messages = forks.start(
      [[
      local bytes = 0
      process.on("message", function(m)
        bytes = bytes + #m
        if m == "last" then process.send(bytes) end
      end)
    ]],
      opts
    )
    child:kill "SIGSTOP"
    assert.is_true(child:send "small")
    local count, chunk = 0, ("x"):rep(10000)
    while child:send(chunk) do
      count = count + 1
      assert.is_true(count < 1000)
    end
    assert.is_true(count >= 12)
    for _ = 1, 20 do
      assert.is_false(child:send(chunk))
    end
    assert.is_false(child:send "last")
    child:kill "SIGCONT"
    assert.equal(5 + 4 + (count + 21) * 10000, forks.received(messages))
    assert.is_true(child:send "again")
    end_of(child)
  end)

  -- IPC-10
  it("fails with ENOBUFS past max_backlog", function()
    local child = forks.start(sink, { max_backlog = 1000000 })
    child:kill "SIGSTOP"
    local failed, passed = 0, 0
    for _ = 1, 80 do
      child:send(("x"):rep(100000), function(err)
        if err then
          assert.equal("ENOBUFS", err.code)
          failed = failed + 1
        else
          passed = passed + 1
        end
      end)
    end
    child:kill "SIGCONT"
    eventually(function()
      return failed + passed == 80
    end)
    assert.is_true(failed > 10 and passed >= 10)
    end_of(child)
  end)

  -- IPC-09
  in_both("after the end returns false, and tells the callback or the event", function(opts)
    local child = forks.start("", opts)
    local result = forks.finish(child)
    assert.is_nil(child.channel)
    assert.is_false(child.connected)
    assert.equal(0, result.code)
    local errors, called = {}, {}
    child:on("error", function(err)
      errors[#errors + 1] = err
    end)
    assert.is_false(child:send("x", function(err)
      called[#called + 1] = err
    end))
    assert.same({}, called)
    turns()
    assert.equal("ERR_IPC_CHANNEL_CLOSED", called[1].code)
    assert.same({}, errors)
    assert.is_false(child:send "x")
    assert.same({}, errors)
    turns()
    assert.equal(1, #errors)
    assert.equal(1, #called)
    assert.equal("ERR_IPC_CHANNEL_CLOSED", errors[1].code)
  end)

  -- IPC-21
  in_both("calls back once for every message also when the peer dies", function(opts)
    local child = child_process.spawn("sleep", { "60" }, {
      stdio = { "ignore", "ignore", "ignore", "ipc" },
      serialization = opts.serialization,
    })
    local counts, order = {}, {}
    for index = 1, 100 do
      counts[index] = 0
      child:send(("x"):rep(60000), function(err)
        counts[index] = counts[index] + 1
        order[#order + 1] = { index, err }
      end)
    end
    eventually(function()
      return #order > 0 -- some are with the kernel, the others wait
    end)
    child:kill "SIGKILL"
    for index = 101, 110 do
      counts[index] = 0
      child:send("late", function(err)
        counts[index] = counts[index] + 1
        order[#order + 1] = { index, err }
      end)
    end
    local result = children.finish(child)
    assert.equal("SIGKILL", result.signal)
    assert.is_nil(result.error)
    eventually(function()
      return #order == 110
    end)
    for index = 1, 110 do
      assert.equal(1, counts[index])
      assert.equal(index, order[index][1])
    end
    assert.truthy(order[110][2])
    assert.is_nil(child.channel)
  end)

  -- IPC-21
  it("takes what a child has sent that died with unread messages", function()
    -- It waits for its input where no message can be read.
    local child, messages = forks.start("for n = 1, 50 do process.send(n) end; io.read(1); os.exit(0)", {
      stdio = { "pipe", "inherit", "inherit", "ipc" },
    })
    child:send(("unread"):rep(1000), function()
      child.stdin:finish()
    end)
    local result = forks.finish(child)
    assert.is_nil(result.error)
    assert.equal(50, #messages)
  end)
end)
