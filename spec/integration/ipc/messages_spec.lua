-- Messages: what can be sent, and how it arrives.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local misuse = require "spec.support.misuse"
local mw = require "mw"

local in_both, end_of = forks.in_both, forks.end_of

-- Sends everything back.
local echo = "process.on('message', function(m) process.send(m) end)"

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
      assert.is_true(took >= limit and took < limit + 4500)
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
