local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local turns = require "spec.support.turns"

local both = { "msgpack", "json" }

-- Sends everything back.
local echo = "process.on('message', function(m) process.send(m) end)"

-- Takes messages and forgets them, until the parent disconnects.
local sink = "process.on('message', function() end)"

-- Tells, in a turn that only comes where something else keeps the loop alive.
local tell_if_alive = "; mw.timers.set_timeout(process.send, 20, 'alive'):unref(); "

local function in_both(name, fn)
  for _, serialization in ipairs(both) do
    it(name .. " (" .. serialization .. ")", function()
      fn { serialization = serialization }
    end)
  end
end

-- Ends a child that waits for messages; it must end by itself.
local function end_of(child)
  assert.is_true(child:disconnect())
  local result = forks.finish(child)
  assert.equal(0, result.code)
  return result
end

describe("Messages", function()
  after_each(forks.clean)

  -- IPC-01
  in_both("pass unchanged and in order", function(opts)
    local sent = {
      "text",
      "",
      "ä€😀",
      true,
      false,
      0,
      -1,
      1.5,
      math.maxinteger,
      math.mininteger,
      { 1, 2, { 3, "four" } },
      { a = { b = { c = true } }, d = "e" },
      "NODE_ is harmless here",
      { cmd = "other", text = "NODE_" },
    }
    local child, messages = forks.start(echo, opts)
    for _, value in ipairs(sent) do
      child:send(value)
    end
    forks.received(messages, #sent)
    assert.same(sent, messages)
    for index, value in ipairs(sent) do
      assert.equal(math.type(value), math.type(messages[index]))
    end
    end_of(child)
  end)

  -- IPC-01
  it("are exact in msgpack", function()
    local child, messages = forks.start [[
      process.on("message", function(m)
        m.types = math.type(m.integer) .. " " .. math.type(m.float) .. " " .. tostring(m.null == mw.null)
        process.send(m)
      end)
    ]]
    local bytes = {}
    for byte = 0, 255 do
      bytes[#bytes + 1] = string.char(byte)
    end
    local binary = table.concat(bytes)
    child:send { integer = 2, float = 2.0, binary = binary, null = mw.null, [7] = "seven", [1.5] = "x", inf = math.huge }
    local got = forks.received(messages)
    assert.equal("integer float true", got.types)
    assert.equal("float", math.type(got.float))
    assert.is_true(got.binary == binary)
    assert.is_true(got.null == mw.null)
    assert.equal("seven", got[7])
    assert.equal("x", got[1.5])
    assert.equal(math.huge, got.inf)
    end_of(child)
  end)

  -- IPC-01, IPC-02
  in_both("may be null, and tell a list from a map", function(opts)
    local child, messages = forks.start(echo, opts)
    child:send(mw.null)
    child:send { list = mw.json.array {}, map = { x = 1 } }
    forks.received(messages, 2)
    assert.is_true(messages[1] == mw.null)
    assert.same({ x = 1 }, messages[2].map)
    if opts.serialization == "json" then
      assert.equal("[]", mw.json.encode(messages[2].list))
    end
    end_of(child)
  end)

  -- IPC-04
  in_both("of 800 kB of text arrive whole", function(opts)
    local text = ("ßäöü€😀"):rep(50000)
    assert.is_true(#text >= 750000)
    local child, messages = forks.start(echo, opts)
    child:send(text)
    assert.is_true(forks.received(messages) == text)
    end_of(child)
  end)

  -- IPC-04
  it("of 8 MiB arrive whole and in order", function()
    local child, messages = forks.start(echo)
    local sent = {}
    for index = 1, 4 do
      sent[index] = string.char(index, 0, 255, 10):rep(2 * 1024 * 1024)
      child:send(sent[index])
    end
    forks.received(messages, 4)
    for index = 1, 4 do
      assert.is_true(messages[index] == sent[index])
    end
    end_of(child)
  end)

  -- IPC-01, IPC-10
  in_both("by the hundred thousand go both ways in order", function(opts)
    local count = 100000
    local child = forks.start(
      [[
      local next_number = 1
      process.on("message", function(m)
        if m ~= next_number then os.exit(3) end
        next_number = next_number + 1
        process.send(-m)
      end)
    ]],
      opts
    )
    local got, wrong = 0, 0
    child:on("message", function(m)
      got = got + 1
      wrong = wrong + (m == -got and 0 or 1)
    end)
    for number = 1, count do
      child:send(number)
    end
    eventually(function()
      return got >= count or child.exit_code
    end, 60000)
    assert.equal(count, got)
    assert.equal(0, wrong)
    end_of(child)
  end)

  -- IPC-01
  it("of a hundred children at once all come, in each one's order", function()
    local path = forks.write("many.lua", "for n = 1, 1000 do process.send(n) end")
    local counts, codes = {}, {}
    for index = 1, 100 do
      counts[index] = 0
      local child = child_process.fork(path)
      child:on("message", function(m)
        assert(m == counts[index] + 1)
        counts[index] = m
      end)
      child:on("close", function(code)
        codes[#codes + 1] = code
      end)
    end
    eventually(function()
      return #codes == 100
    end, 50000)
    for index = 1, 100 do
      assert.equal(1000, counts[index])
      assert.equal(0, codes[index])
    end
  end)

  in_both("come on to a listener that raises, and each error is told", function(opts)
    local child, messages = forks.start(
      [[
      local heard, caught = 0, 0
      process.on("uncaught_exception", function(err)
        caught = caught + (tostring(err):find("number " .. heard .. "$") and 1 or 0)
        if heard == 100 then process.send { heard, caught } process.disconnect() end
      end)
      process.on("message", function(number)
        heard = heard + 1
        error("number " .. number)
      end)
    ]],
      opts
    )
    for number = 1, 100 do
      child:send(number)
    end
    forks.finish(child)
    assert.same({ { 100, 100 } }, messages)
  end)

  in_both("come to whoever listens then, as listeners come and go", function(opts)
    local child = forks.start("for number = 1, 6 do process.send(number) end", opts)
    local heard = {}
    local function as(name)
      return function(number)
        heard[#heard + 1] = name .. number
      end
    end
    local first, last = as "first ", as "last "
    child:remove_all_listeners "message"
    child:once("message", as "once ")
    child:on("message", function(number)
      if number == 1 then
        child:on("message", first)
      elseif number == 3 then
        child:off("message", first)
        child:on("message", last)
      elseif number == 5 then
        child:remove_all_listeners "message"
        child:on("message", last)
      end
    end)
    forks.finish(child)
    assert.same({ "once 1", "first 2", "first 3", "last 4", "last 5", "last 6" }, heard)
  end)

  in_both("go on where the modules from C are loaded again", function(opts)
    local child, messages = forks.start(
      [[
      local ended
      mw.child_process.spawn("true"):on("exit", function(code) ended = code end)
      for _, name in ipairs { "mw.core.channel", "mw.core.process" } do
        package.loaded[name] = nil
        require(name)
      end
      collectgarbage()
      process.on("message", function(message)
        mw.go(function()
          while not ended do mw.sleep(1) end
          process.send { message, ended }
          process.disconnect()
        end)
      end)
    ]],
      opts
    )
    child:send "still here"
    forks.finish(child)
    assert.same({ { "still here", 0 } }, messages)
  end)

  in_both("come one by one to a task that waits for them", function(opts)
    local child = forks.start("for number = 1, 1000 do process.send(number) end", opts)
    child:remove_all_listeners "message"
    local task = mw.go(function()
      for number = 1, 1000 do
        assert(child:wait "message" == number)
      end
      return "all"
    end)
    assert.equal("all", task:join())
    forks.finish(child)
  end)

  -- IPC-01, IPC-08
  in_both("of a thousand tasks at once all arrive, in each one's order", function(opts)
    local child, messages = forks.start(
      [[
      local last, count = {}, 0
      process.on("message", function(m)
        local sender, number = table.unpack(m)
        if number ~= (last[sender] or 0) + 1 then os.exit(3) end
        last[sender], count = number, count + 1
        if count == 10000 then process.send(count) end
      end)
    ]],
      opts
    )
    local called = 0
    for number = 1, 1000 do
      mw.go(function()
        for n = 1, 10 do
          child:send({ number, n }, function(err)
            assert(not err)
            called = called + 1
          end)
          mw.sleep(number % 3)
        end
      end)
    end
    assert.equal(10000, forks.received(messages))
    assert.equal(10000, called)
    end_of(child)
  end)

  -- IPC-18
  in_both("that come before the first listener are kept for it", function(opts)
    local child, messages = forks.start(
      [[
      mw.timers.set_timeout(function()
        local seen = {}
        process.on("message", function(m)
          seen[#seen + 1] = m
          if #seen == 3 then process.send(seen) end
        end)
      end, 200)
    ]],
      opts
    )
    child:send "one"
    child:send "two"
    child:send "three"
    assert.same({ "one", "two", "three" }, forks.received(messages))
    end_of(child)
  end)

  -- IPC-18
  it("are kept also where the channel has closed meanwhile", function()
    local child = forks.start [[
      mw.timers.set_timeout(function()
        local seen = {}
        process.on("message", function(m)
          seen[#seen + 1] = m
        end)
        mw.timers.set_timeout(function()
          os.exit(#seen)
        end, 50)
      end, 300)
    ]]
    child:send "one"
    child:send "two"
    child:disconnect()
    assert.equal(2, forks.finish(child).code)
  end)

  -- IPC-18
  it("are kept by the parent also after the child's end", function()
    for _, count in ipairs { 3, 30000 } do
      local code = "for n = 1, %d do process.send(n) end; io.stderr:write 'all'; os.exit(0)"
      local child = child_process.fork(forks.write("many.lua", code:format(count)), {}, {
        stdio = { "ignore", "inherit", "pipe", "ipc" },
        exit_flush_timeout = 60000,
      })
      assert.equal("all", child.stderr:read())
      if count == 3 then
        child:wait "exit"
      end
      local got = 0
      child:on("message", function(m)
        got = got + 1
        assert(m == got)
      end)
      eventually(function()
        return got == count and child.destroyed
      end)
    end
  end)

  -- IPC-18
  it("that nobody ever listens to do not keep the child from closing", function()
    local path = forks.write("many.lua", "for n = 1, 12000 do process.send(n) end; os.exit(0)")
    local child = child_process.fork(path)
    child:wait "close"
    assert.equal(0, child.exit_code)
  end)

  -- IPC-18
  it("may be answered by disconnecting while early ones are handed out", function()
    local child = forks.start [[
      mw.timers.set_timeout(function()
        process.on("message", function() process.disconnect() end)
      end, 100)
    ]]
    child:send "one"
    child:send "two"
    local result = forks.finish(child)
    assert.equal(0, result.code)
  end)

  -- IPC-20
  it("of JSON whose cmd begins with NODE_ are the runtime's", function()
    local child, messages = forks.start(echo, { serialization = "json" })
    child:send { cmd = "NODE_HANDLE_ACK" }
    child:send { cmd = "NODE_FOO", x = 1 }
    child:send { cmd = "node_FOO" }
    child:send { cmd = "my NODE_" }
    forks.received(messages, 2)
    assert.same({ { cmd = "node_FOO" }, { cmd = "my NODE_" } }, messages)
    end_of(child)
    child, messages = forks.start(echo)
    child:send { cmd = "NODE_FOO" }
    assert.same({ cmd = "NODE_FOO" }, forks.received(messages))
    end_of(child)
  end)

  -- IPC-01, CP-STDIO-12
  in_both("pass over a channel at every place", function(opts)
    for number = 1, 6 do
      local stdio = { "ignore", "ignore", "inherit" }
      stdio[number] = "ipc"
      local child, messages = forks.start(
        "print('not a message'); io.stderr:write(''); process.on('message', function(m) process.send(m + 1) end)",
        { stdio = stdio, serialization = opts.serialization }
      )
      child:send(number)
      assert.equal(number + 1, forks.received(messages))
      end_of(child)
    end
  end)
end)

describe("What can't be sent", function()
  after_each(forks.clean)

  -- IPC-02, IPC-03, IPC-07
  in_both("raises at the caller's line and names the place", function(opts)
    local child, messages = forks.start(echo, opts)
    local called = 0
    local function callback()
      called = called + 1
    end
    local cycle = { a = {} }
    cycle.a.b = cycle
    local refused = {
      { nil, "ERR_MISSING_ARGS" },
      { print, "message" },
      { { user = { 1, 2, print } }, "message.user[3]" },
      { { t = coroutine.create(print) }, "message.t" },
      { { f = io.stdout }, "message.f" },
      { cycle, "message.a.b" },
    }
    for index = 1, 6 do
      local text = misuse(function()
        child:send(refused[index][1], callback)
      end)
      assert.matches(refused[index][2], text, 1, true)
    end
    assert.matches(
      "ERR_INVALID_HANDLE_TYPE",
      misuse(function()
        child:send("x", {}, {}, callback)
      end),
      1,
      true
    )
    assert.matches(
      "options",
      misuse(function()
        child:send("x", nil, 5, callback)
      end),
      1,
      true
    )
    child:send "still works"
    assert.equal("still works", forks.received(messages))
    assert.equal(0, called)
    end_of(child)
  end)

  -- IPC-02
  it("raises in the child too, at the script's line", function()
    local result, messages = forks.run [[
      local ok, text = pcall(function() process.send({ x = { print } }) end)
      process.send(text)
    ]]
    assert.equal(0, result.code)
    assert.matches("forked.lua:1: ", messages[1], 1, true)
    assert.matches("message.x[1]", messages[1], 1, true)
  end)
end)

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

describe("disconnect", function()
  after_each(forks.clean)

  -- IPC-13
  in_both("takes effect at once, once, and lets everything arrive", function(opts)
    local child, messages = forks.start(
      [[
      local count = 0
      process.on("message", function(m) count = count + #m end)
      process.on("disconnect", function()
        local ok, err = process.disconnect()
        os.exit(count == 10000005 and not process.connected and not process.channel and not ok
          and err.code == "ERR_IPC_DISCONNECTED" and 7 or 1)
      end)
    ]],
      opts
    )
    local called
    child:send(("x"):rep(10000000))
    child:send("after", function(err)
      called = err or "sent"
    end)
    assert.is_true(child:disconnect())
    assert.is_false(child.connected)
    local ok, err = child:disconnect()
    assert.is_nil(ok)
    assert.equal("ERR_IPC_DISCONNECTED", err.code)
    local late
    assert.is_false(child:send("late", function(problem)
      late = problem.code
    end))
    local result = forks.finish(child)
    assert.equal(7, result.code)
    assert.equal("sent", called)
    assert.equal("ERR_IPC_CHANNEL_CLOSED", late)
    assert.equal("spawn disconnect exit close", children.names(result.events))
    assert.same({}, messages)
  end)

  -- IPC-14
  in_both("by the child ends the parent's side, and a late listener harms nothing", function(opts)
    local result, messages = forks.run(
      [[
      process.send("before")
      local ok = process.disconnect()
      local late
      local returned = process.send("after", function(err) late = err.code end)
      mw.timers.set_timeout(function()
        process.on("message", function() end)
        os.exit(ok and not returned and late == "ERR_IPC_CHANNEL_CLOSED" and 5 or 1)
      end, 50)
    ]],
      opts
    )
    assert.equal(5, result.code)
    assert.same({ "before" }, messages)
    assert.truthy(children.event(result.events, "disconnect"))
  end)

  it("from both sides at once gives one event each", function()
    for _ = 1, 10 do
      local child, messages = forks.start [[
        process.on("message", function() process.disconnect() end)
        process.on("disconnect", function() process.exit_code = (process.exit_code or 0) + 1 end)
        process.send("ready")
      ]]
      forks.received(messages)
      child:send "go"
      child:disconnect()
      local result = forks.finish(child)
      assert.equal(1, result.code)
      local _, count = children.names(result.events):gsub("disconnect", "")
      assert.equal(1, count)
    end
  end)
end)

describe("The channel of a child", function()
  after_each(forks.clean)

  -- IPC-16, CP-FORK-02
  it("keeps it alive only while somebody listens", function()
    for _, code in ipairs {
      "",
      "local f = function() end; process.on('message', f); process.off('message', f)",
      "process.once('disconnect', print); process.remove_all_listeners('disconnect')",
      "process.on('exit', function() end)",
      "process.send('x')",
    } do
      local result = forks.run(code)
      assert.equal(0, result.code)
    end
    for _, event in ipairs { "message", "disconnect" } do
      for _, how in ipairs { "on", "once" } do
        local child, messages = forks.start(("process.%s('%s', function() end)"):format(how, event) .. tell_if_alive)
        assert.equal("alive", forks.received(messages))
        end_of(child)
      end
    end
  end)

  -- IPC-16
  it("lets it end after the last listener has gone", function()
    local child = forks.start "process.once('message', function() end)"
    child:send "go"
    assert.equal(0, forks.finish(child).code)
  end)

  -- IPC-16
  it("keeps it alive while it waits for a message", function()
    local child, messages = forks.start(tell_if_alive .. "process.send(process.wait('message'))")
    assert.equal("alive", forks.received(messages))
    child:send "here"
    assert.equal("here", forks.received(messages, 2))
    assert.equal(0, forks.finish(child).code)
  end)

  -- IPC-17
  it("follows ref and unref instead, once they were called", function()
    local child = forks.start "process.channel:unref(); process.on('message', function() end)"
    assert.equal(0, forks.finish(child).code)
    local code = "process.channel:ref(); local f = function() end; process.on('message', f); process.off('message', f)"
    local messages
    child, messages = forks.start(code .. tell_if_alive)
    assert.equal("alive", forks.received(messages))
    end_of(child)
  end)

  -- IPC-15
  in_both("ends when the parent is killed", function(opts)
    local child, messages = forks.start(([[
      local path = os.tmpname()
      local file = io.open(path, "w")
      file:write('local p = require "mw.process"; local path = "' .. path .. '.end"; p.send("up")\n')
      file:write('p.on("disconnect", function() io.open(path, "w"):close(); os.exit(0) end)')
      file:close()
      local child = mw.child_process.fork(path, {}, { serialization = "%s" })
      child:on("message", function() process.send({ child.pid, path }) end)
    ]]):format(opts.serialization))
    local pid, path = table.unpack(forks.received(messages))
    child:kill "SIGKILL"
    forks.finish(child)
    eventually(function()
      return not proc.is_alive(pid)
    end)
    assert.is_true(os.remove(path .. ".end"))
    os.remove(path)
  end)

  -- IPC-22
  it("is there only where it was made", function()
    local report = "print(process.send, process.channel, process.disconnect, process.connected)"
    local result = children.lua('local process = require "mw.process"; ' .. report)
    assert.equal("nil\tnil\tnil\tfalse\n", result.stdout)
  end)

  -- IPC-22
  in_both("leaves no variables in the environment, nor to its children", function(opts)
    local _, messages = forks.run(
      [[
      local names = {}
      for name in pairs(process.env) do
        if name:find "CHANNEL" then names[#names + 1] = name end
      end
      local out = mw.child_process.spawn_sync("env").stdout
      process.send { #names, out:find("CHANNEL", 1, true) or 0, os.getenv "MW_CHANNEL_FD" or "none" }
    ]],
      opts
    )
    assert.same({ 0, 0, "none" }, messages[1])
  end)

  it("is not taken from a variable that names nothing", function()
    for _, value in ipairs { "99", "x", "-1", "0", "" } do
      local result = children.lua(
        'print(require("mw.process").connected)',
        { env = { MW_CHANNEL_FD = value, MWRUN_LUA_DIR = mw.process.env.MWRUN_LUA_DIR }, stdio = { "ignore", "pipe", "pipe" } }
      )
      assert.equal("false\n", result.stdout)
    end
  end)
end)

describe("A message that was sent", function()
  after_each(forks.clean)

  local ends = {
    ["before exit"] = "process.exit(6)",
    ["before os.exit"] = "os.exit(6)",
    ["before disconnect"] = "process.disconnect(); process.exit_code = 6",
    ["at the end of the script"] = "process.exit_code = 6",
  }
  for name, code in pairs(ends) do
    -- CP-FORK-09, CP-FORK-10
    in_both("is delivered whole " .. name, function(opts)
      local result, messages = forks.run("process.send('first'); process.send(('y'):rep(10000000)); " .. code, opts)
      assert.equal(6, result.code)
      assert.equal("first", messages[1])
      assert.is_true(messages[2] == ("y"):rep(10000000))
    end)
  end

  it("holds up the exit no longer than exit_flush_timeout", function()
    local path = forks.write("deaf.lua", [[
      process.on("exit", function() io.stderr:write(tostring(os.getenv "MW_EXIT_FLUSH_TIMEOUT")) end)
      for _ = 1, 100 do process.send(("x"):rep(100000)) end
      os.exit(3)
    ]])
    for _, limit in ipairs { 0, 300 } do
      -- The channel is ours, and nobody reads it.
      local pair = require("luv").socketpair("stream", 0, {}, {})
      local began = mw.process.hrtime()
      local result = children.run(mw.process.exec_path, { path }, {
        stdio = { "ignore", "ignore", "pipe", pair[2] },
        env = { MW_CHANNEL_FD = 3, MW_EXIT_FLUSH_TIMEOUT = limit, MWRUN_LUA_DIR = mw.process.env.MWRUN_LUA_DIR },
      })
      local took = (mw.process.hrtime() - began) / 1e6
      assert.equal("nil", result.stderr)
      assert.equal(3, result.code)
      assert.is_true(took >= limit and took < limit + 2500)
      local close = require("mw.core.fd").close
      close(pair[1])
      close(pair[2])
    end
    local child = child_process.fork(forks.write("told.lua", "process.send(require('mw.exit').flush_timeout)"), {}, {
      exit_flush_timeout = 123,
    })
    assert.equal(123, (child:wait "message"))
    child:wait "close"
  end)

  -- CP-FORK-09
  it("is delivered where the callback exits", function()
    local result, messages = forks.run "process.send(('y'):rep(10000000), function(e) os.exit(e and 1 or 4) end)"
    assert.equal(4, result.code)
    assert.equal(10000000, #messages[1])
  end)

  -- IPC-08
  it("by the parent is delivered where that exits at once", function()
    local path = os.tmpname()
    local result, messages = forks.run(([[
      local path = %q
      local file = io.open(path, "w")
      file:write('local p = require "mw.process"; p.on("message", function(m) print(#m) end)')
      file:close()
      mw.child_process.fork(path, {}):send(("z"):rep(10000000))
      os.exit(3)
    ]]):format(path), { silent = true })
    assert.equal(3, result.code)
    assert.equal("10000000\n", result.stdout)
    assert.same({}, messages)
    os.remove(path)
  end)
end)
