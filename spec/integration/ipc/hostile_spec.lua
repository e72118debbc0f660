-- Peers that speak nonsense, half of something, or nothing any more: what they
-- do is felt on their channel alone.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local leaks = require "spec.support.leaks"
local mw = require "mw"
local proc = require "spec.support.proc"
local raw_peer = require "spec.support.raw_peer"
local turns = require "spec.support.turns"

local frame, json, msgpack = raw_peer.frame, mw.json, mw.msgpack

local both = { "msgpack", "json" }

-- More than one of these specs needs, a fraction of what their peers claim.
local much_memory = 80 * 1024 * 1024

local function header(length)
  return string.pack("<I4I4", length, 0)
end

-- A map whose keys all meet in one chain of Lua's hash, of up to 8192.
local function colliding_map(count)
  local parts = { string.pack(">BI4", 0xdf, count) }
  for index = 1, count do
    parts[#parts + 1] = string.pack(">BI8B", 0xcf, index * 0x1fff, 1)
  end
  return table.concat(parts)
end

-- What else there is in the process: another child, and what is open.
local function bystanders()
  local neighbour, messages = forks.start "process.on('message', function(m) process.send(m) end)"
  neighbour:send "before"
  forks.received(messages)
  collectgarbage()
  local descriptors, rss = leaks.descriptor_count(), mw.process.memory_usage().rss
  return {
    talk = function()
      neighbour:send "meanwhile"
      assert.equal("meanwhile", forks.received(messages, #messages + 1))
    end,
    check = function(self)
      self.talk()
      assert.is_true(mw.process.memory_usage().rss < rss + much_memory)
      eventually(function()
        collectgarbage()
        return leaks.descriptor_count() <= descriptors
      end)
      neighbour:disconnect()
      assert.equal(0, forks.finish(neighbour).code)
    end,
  }
end

local function kill(child, events)
  child:kill "SIGKILL"
  assert.equal("SIGKILL", children.closed(events)[3])
  assert.same({ "exit", n = 2, nil, "SIGKILL" }, children.event(events, "exit"))
end

-- Starts a peer whose channel we must close, and whose process lives on.
local function expect_refusal(start, listens)
  local others = bystanders()
  local child = start()
  local events = children.record(child, { "exit", "disconnect", "close", listens and "error" or nil })
  eventually(function()
    return children.event(events, "disconnect")
  end)
  assert.equal(listens and "error disconnect" or "disconnect", children.names(events))
  if listens then
    assert.equal("EPROTO", children.event(events, "error")[2].code)
  end
  assert.is_nil(child.channel)
  assert.is_false(child.connected)
  assert.is_true(proc.is_alive(child.pid))
  others:talk()
  kill(child, events)
  others:check()
end

local function is_refused(name, start)
  for _, listens in ipairs { true, false } do
    it("is refused: " .. name .. (listens and "" or ", where nobody listens to errors"), function()
      expect_refusal(start, listens)
    end)
  end
end

local function bytes_are_refused(name, bytes, serialization)
  is_refused(name, function()
    return raw_peer.say(bytes, { serialization = serialization })
  end)
end

local function script_is_refused(name, code, serialization)
  is_refused(name, function()
    return raw_peer.start(code, { serialization = serialization })
  end)
end

describe("Garbage on a channel", function()
  after_each(forks.clean)

  -- IPC-06
  bytes_are_refused("the length 0x7fffffff", header(0x7fffffff))
  bytes_are_refused("the length 0x80000000", header(0x80000000))
  bytes_are_refused("the length 0xffffffff", header(0xffffffff))
  bytes_are_refused("an unknown kind", frame("\1", 9))
  bytes_are_refused("an unknown flag", frame("\1", 0, 0, 2))
  bytes_are_refused("a last byte that is not zero", "\1\0\0\0\0\0\0\1\1")
  bytes_are_refused("no MessagePack", frame "\xc1")
  bytes_are_refused("half a value", frame "\x92\1")
  bytes_are_refused("more than a value", frame "\1\2")
  bytes_are_refused("a value of no length", frame "")
  bytes_are_refused("an array that claims more than there is", frame "\xdd\xff\xff\xff\xff\1")
  bytes_are_refused("an internal value that is none", frame("\xc1", 1))
  bytes_are_refused("a message of JSON for MessagePack", '{"a":1}\n')

  script_is_refused("100000 arrays in one another", [[say(frame(("\x91"):rep(100000) .. "\1")) stay()]])
  script_is_refused("a map whose keys collide", ("say(frame(%q)) stay()"):format(colliding_map(5000)))

  bytes_are_refused("a frame for JSON", frame "\xa2hi" .. "\n", "json")
  bytes_are_refused("half a JSON text", '{"a":\n', "json")
  bytes_are_refused("an empty line", "\n", "json")
  bytes_are_refused("two JSON texts in a line", "1 2\n", "json")
  script_is_refused("100000 arrays in one another, in JSON", [[say(("["):rep(100000) .. "\n") stay()]], "json")

  -- IPC-06
  for _, serialization in ipairs(both) do
    it("comes after what was right, which arrives: " .. serialization, function()
      local good = { msgpack = frame "\7" .. frame "\xa2hi", json = '7\n"hi"\n' }
      local bad = { msgpack = header(0xffffffff), json = "?\n" }
      local child = raw_peer.say(good[serialization] .. bad[serialization], { serialization = serialization })
      local messages = {}
      child:on("message", function(message)
        messages[#messages + 1] = message
      end)
      local events = children.record(child)
      eventually(function()
        return children.event(events, "disconnect")
      end)
      assert.same({ 7, "hi" }, messages)
      kill(child, events)
    end)
  end
end)

describe("What a peer leaves unfinished", function()
  after_each(forks.clean)

  local pieces = {
    { "nothing at all", "" },
    { "half a header", "\1\0\0\0" },
    { "a header whose one byte never comes", header(1) },
    { "a message behind a whole one", frame "\7" .. header(100) .. "abc" },
    { "a frame of sane length", header(0x0fffffff) .. "abc" },
    { "half a line", '{"a":', "json" },
  }
  for _, piece in ipairs(pieces) do
    -- IPC-06
    it("ends with it, and is no error: " .. piece[1], function()
      local others = bystanders()
      local code = ("uv.fs_write(3, %q) os.exit(9)"):format(piece[2])
      local result = children.finish(raw_peer.start(code, { serialization = piece[3] }))
      assert.equal(9, result.code)
      assert.is_nil(result.error)
      assert.truthy(children.event(result.events, "disconnect"))
      assert.same({ "exit", n = 2, 9 }, children.event(result.events, "exit"))
      others:check()
    end)
  end

  local claims = {
    ["takes no memory that was only claimed"] = { ("say(%q .. 'x', "):format(header(0x0fffffff)) },
    ["takes the memory of what has come: a frame"] = { ("say(%q .. ('x'):rep(8000000), "):format(header(0x0fffffff)) },
    ["takes the memory of what has come: a line"] = { "say(('x'):rep(8000000), ", "json" },
  }
  for name, claim in pairs(claims) do
    it(name, function()
      local others = bystanders()
      local child = raw_peer.start(claim[1] .. "function() print 'said' end) stay()", { serialization = claim[2] })
      local events, output = children.record(child), children.collect(child.stdout)
      eventually(function()
        return output() == "said\n"
      end)
      others:talk()
      assert.is_true(child.connected)
      kill(child, events)
      assert.is_nil(children.event(events, "error"))
      others:check()
    end)
  end
end)

describe("Descriptors of a peer", function()
  after_each(forks.clean)

  bytes_are_refused("one that is counted and not there", frame("\1", 0, 1, 1))
  bytes_are_refused("one that was never begun", frame("\1", 0, 1))
  bytes_are_refused("a batch without any", frame("\1", 0, 0, 1))
  bytes_are_refused("a count that no frame can have", frame("\1", 0, 65, 1))
  script_is_refused("more counted than sent", "say_with_descriptor(frame('\\1', 0, 2, 1)) stay()")

  local surplus = "for _ = 1, 600 do say_with_descriptor(%s) end stay()"
  script_is_refused("hundreds that nobody counts", surplus:format "frame '\\1'")
  script_is_refused("hundreds that nobody counts, in JSON", surplus:format "'1\\n'", "json")

  for _, serialization in ipairs(both) do
    it("that nobody counts are closed with the channel: " .. serialization, function()
      local others = bystanders()
      local message = serialization == "json" and "'1\\n'" or "frame '\\1'"
      local code = ("for _ = 1, 20 do say_with_descriptor(%s) end stay()"):format(message)
      local child = raw_peer.start(code, { serialization = serialization })
      local events, count = children.record(child), 0
      child:on("message", function(_, handle)
        assert(handle == nil)
        count = count + 1
      end)
      eventually(function()
        return count == 20
      end)
      kill(child, events)
      others:check()
    end)
  end

  it("of any kind under any name make no harm", function()
    local others = bystanders()
    local child = raw_peer.start [[
      local types = { "net.Socket", "net.Server", "net.Native", "dgram.Socket", "dgram.Native", "mw.fd", "none", 5, {} }
      types[#types + 1] = false
      local number = 0
      for _, handle in ipairs { pair, uv.new_tcp "inet" } do
        for _, name in ipairs(types) do
          number = number + 1
          local envelope = { cmd = "NODE_HANDLE", type = name, msg = number, number = number, key = "k" }
          envelope.unread, envelope.unwritten, envelope.allowHalfOpen = 5, {}, "yes"
          say_with_descriptor(frame(msgpack.encode(envelope), 1, 1, 1), handle)
        end
      end
      stay()
    ]]
    local events, count = children.record(child), 0
    child:on("message", function(number, handle)
      count = count + 1
      assert(number == count)
      if handle then
        (handle.destroy or handle.close)(handle)
      end
    end)
    eventually(function()
      return count == 20
    end)
    assert.is_true(child.connected)
    kill(child, events)
    others:check()
  end)
end)

describe("What a peer tells the runtime", function()
  after_each(forks.clean)

  -- IPC-20
  it("is ignored where it makes no sense", function()
    local others = bystanders()
    local nan = 0 / 0
    local told = { 5, mw.null, json.array {}, { cmd = nan }, { cmd = {} }, { cmd = "NODE_NOTHING" } }
    local commands = { "HANDLE", "HANDLE_ACK", "HANDLE_NACK", "HANDLE_LOST" }
    for _, command in ipairs { "GET_COUNT", "COUNT", "NOTIFY_CLOSE", "ALL_CLOSED" } do
      commands[#commands + 1] = "SOCKET_" .. command
    end
    for _, command in ipairs(commands) do
      for _, value in ipairs { 7, nan, 1.5, "text", {}, true } do
        told[#told + 1] = { cmd = "NODE_" .. command, number = value, key = value, count = value, type = value }
      end
    end
    local frames = {}
    for index, value in ipairs(told) do
      frames[index] = frame(msgpack.encode(value), 1)
    end
    local child = raw_peer.say(table.concat(frames) .. frame "\xa3end")
    local events, messages = children.record(child), {}
    child:on("message", function(message)
      messages[#messages + 1] = message or "none"
    end)
    eventually(function()
      return messages[#messages] == "end"
    end)
    assert.same({ "end" }, messages)
    kill(child, events)
    assert.is_nil(children.event(events, "error"))
    others:check()
  end)

  it("may hold up more messages than are kept for a listener", function()
    local child = raw_peer.start([[
      say '{"cmd":"NODE_HANDLE","number":1,"msg":0}\n'
      for number = 1, 12000 do
        say(number .. "\n")
      end
      say '{"cmd":"NODE_HANDLE_LOST","number":1}\n'
      stay()
    ]], { serialization = "json" })
    local events, count = children.record(child), 0
    child:on("message", function(number)
      assert(number == count)
      count = count + 1
    end)
    eventually(function()
      return count == 12001
    end)
    kill(child, events)
  end)

  it("may acknowledge a handle that it can't have yet: it gets that and no other", function()
    local server = mw.net.create_server():listen(0)
    server:wait "listening"
    local child = raw_peer.start [[
      uv.new_signal():start("sigusr1", function()
        pipe:read_start(function()
          if pipe:pending_count() > 0 then
            print(pipe:pending_type())
            io.flush()
            pipe:read_stop()
          end
        end)
      end)
      say(frame(msgpack.encode { cmd = "NODE_HANDLE_ACK", number = 1 }, 1))
      say(frame(msgpack.encode "acknowledged"))
      stay()
    ]]
    local events, stdout = children.record(child), children.collect(child.stdout)
    child:on("error", function() end)
    for _ = 1, 40 do
      child:send(("x"):rep(100000))
    end
    child:send("behind all that", server)
    assert.equal("acknowledged", (child:wait "message"))
    -- They would take the number of a descriptor that was closed too early.
    local files = {}
    for index = 1, 20 do
      files[index] = io.open "/dev/null"
    end
    child:kill "SIGUSR1"
    eventually(function()
      return stdout() == "tcp\n"
    end)
    for _, file in ipairs(files) do
      file:close()
    end
    server:close()
    kill(child, events)
  end)

  it("is not answered without bound where it reads no answers", function()
    local child = raw_peer.start([[
      say(('{"cmd":"NODE_HANDLE"}\n'):rep(400000) .. '"end"\n')
      local bytes = 0
      uv.new_signal():start("sigusr1", function()
        pipe:read_start(function(_, chunk)
          bytes = bytes + #(chunk or "")
          if not chunk then
            print(bytes)
            os.exit(0)
          end
        end)
      end)
      stay()
    ]], { serialization = "json", max_backlog = 10000 })
    assert.equal("end", (child:wait("message", 20000)))
    child:kill "SIGUSR1"
    child:disconnect()
    local answered = tonumber(children.finish(child).stdout)
    assert.is_true(answered > 10000 and answered < 4000000)
  end)
end)

describe("A peer that stops reading", function()
  after_each(forks.clean)

  local message = ("x"):rep(60000)

  -- Counts what comes, and tells when asked.
  local counting = [[
    local count = 0
    process.on("message", function(m)
      count = count + 1
      if m == "count" then process.send(count - 1) end
    end)
    process.send "ready"
  ]]

  local function start_stopped(serialization)
    local child, messages = forks.start(counting, { serialization = serialization, max_backlog = 1000000 })
    forks.received(messages)
    child:kill "SIGSTOP"
    eventually(function()
      return proc.stat(child.pid).state == "T"
    end)
    return child, messages
  end

  -- Sends 200, more than backlog and socket take; returns who was called back, in order.
  local function send_too_much(child)
    local calls, kept_up = {}, 0
    for index = 1, 200 do
      local keeps_up = child:send(message, function(err)
        calls[#calls + 1] = { index = index, code = err and err.code or "sent" }
      end)
      kept_up = kept_up + (keeps_up and 1 or 0)
    end
    assert.is_true(kept_up > 0 and kept_up < 100)
    assert.same({}, calls)
    return calls
  end

  local function check_calls(calls, allowed)
    eventually(function()
      return #calls >= 200
    end)
    turns()
    assert.equal(200, #calls)
    local counts = {}
    for index, call in ipairs(calls) do
      assert.equal(index, call.index)
      counts[call.code] = (counts[call.code] or 0) + 1
      assert.is_true(allowed[call.code], call.code)
    end
    return counts
  end

  for _, serialization in ipairs(both) do
    -- IPC-08, IPC-10
    it("gets what there was room for when it goes on, and the rest ENOBUFS: " .. serialization, function()
      local others = bystanders()
      local child, messages = start_stopped(serialization)
      local calls = send_too_much(child)
      others:talk()
      assert.is_true(#calls < 50)
      child:kill "SIGCONT"
      local counts = check_calls(calls, { sent = true, ENOBUFS = true })
      assert.is_true(counts.ENOBUFS > 100 and counts.sent >= 10)
      child:send "count"
      assert.equal(counts.sent, forks.received(messages, 2))
      child:disconnect()
      local result = forks.finish(child)
      assert.equal(0, result.code)
      assert.is_nil(result.error)
      others:check()
    end)

    -- IPC-21
    it("may be killed, and every callback comes once, in order: " .. serialization, function()
      local others = bystanders()
      local child = start_stopped(serialization)
      local calls = send_too_much(child)
      child:kill "SIGKILL"
      local result = forks.finish(child)
      assert.equal("SIGKILL", result.signal)
      assert.is_nil(result.error)
      local counts = check_calls(
        calls,
        { sent = true, ENOBUFS = true, EPIPE = true, ECONNRESET = true, ERR_IPC_CHANNEL_CLOSED = true }
      )
      assert.is_true(counts.ENOBUFS > 100 and counts.sent < 50)
      others:check()
    end)
  end

  -- IPC-10
  it("makes send emit ENOBUFS where there is no callback", function()
    local child = start_stopped()
    local codes = {}
    child:on("error", function(err)
      codes[#codes + 1] = err.code
    end)
    local refused = 0
    for _ = 1, 100 do
      child:send(message)
    end
    assert.is_false(child:send(message))
    assert.same({}, codes)
    eventually(function()
      refused = #codes
      return refused > 0
    end)
    assert.is_true(refused > 20 and refused < 95)
    for _, code in ipairs(codes) do
      assert.equal("ENOBUFS", code)
    end
    child:kill "SIGKILL"
    forks.finish(child)
  end)
end)

describe("A peer that closes only its reading direction", function()
  local has_perl = child_process.spawn_sync("perl", { "-e", "1" }).status == 0

  -- It says "ready", and closes that direction when it gets SIGUSR1.
  local script = [[
    open(my $channel, "+<&=", 3) or die;
    $SIG{USR1} = sub { shutdown($channel, 0); syswrite($channel, "\"deaf\"\n"); };
    syswrite($channel, "\"ready\"\n");
    sleep 60 while 1;
  ]]

  local function start()
    local child = child_process.spawn("perl", { "-e", script }, {
      stdio = { "ignore", "ignore", "inherit", "ipc" },
      serialization = "json",
    })
    local events = children.record(child)
    assert.equal("ready", (child:wait("message", 20000)))
    return child, events
  end

  local function with_perl(name, fn)
    if has_perl then
      it(name, fn)
    else
      pending(name .. " (there is no perl here)")
    end
  end

  with_perl("is told to the callbacks at once, and still heard", function()
    local child, events = start()
    local codes = {}
    for index = 1, 50 do
      child:send(("x"):rep(100000), function(err)
        codes[#codes + 1] = { index, err and err.code or "sent" }
      end)
    end
    child:kill "SIGUSR1"
    assert.equal("deaf", (child:wait("message", 20000)))
    eventually(function()
      return #codes == 50
    end)
    for index = 1, 50 do
      assert.equal(index, codes[index][1])
    end
    assert.equal("sent", codes[1][2])
    assert.equal("EPIPE", codes[50][2])
    local late
    assert.is_false(child:send("late", function(err)
      late = err.code
    end))
    eventually(function()
      return late
    end)
    assert.equal("EPIPE", late)
    assert.is_true(child.connected)
    assert.equal("", children.names(events):gsub("spawn", ""))
    kill(child, events)
  end)

  with_perl("does not hold up disconnect", function()
    local child, events = start()
    child:send(("x"):rep(10000000))
    child:disconnect()
    child:kill "SIGUSR1"
    eventually(function()
      return children.event(events, "disconnect")
    end)
    assert.is_true(proc.is_alive(child.pid))
    kill(child, events)
  end)
end)
