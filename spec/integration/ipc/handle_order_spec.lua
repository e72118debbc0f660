-- Handles among messages: what arrives when, and what the sender learns.

local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"
local turns = require "spec.support.turns"

local in_both = transfers.in_both

-- Tells what comes, and closes the handles.
local tell = [[
  process.on("message", function(message, handle)
    process.send { message = message, has_handle = handle ~= nil }
    if handle then handle[handle.destroy and "destroy" or "close"](handle) end
  end)
  process.send "ready"
]]

local function start_ready(code, opts)
  local child, arrivals = transfers.start(code, opts)
  transfers.arrived(arrivals)
  table.remove(arrivals)
  return child, arrivals
end

describe("Messages with handles", function()
  after_each(forks.clean)

  -- HANDLE-05
  in_both("arrive in order, each with its own, when read at once", function(opts)
    local child, arrivals = start_ready(tell, opts)
    local server = sockets.listen()
    transfers.stop(child)
    child:send "one"
    child:send("two", server)
    child:send "three"
    child:send("four", server)
    child:send("five", server)
    turns()
    child:kill "SIGCONT"
    transfers.arrived(arrivals, 5)
    local expected = {}
    for index, text in ipairs { "one", "two", "three", "four", "five" } do
      expected[index] = { { message = text, has_handle = text ~= "one" and text ~= "three" } }
    end
    assert.same(expected, arrivals)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- HANDLE-05, as BEHAVIOURS has it: a child that does not listen yet
  in_both("are kept for the first listener", function(opts)
    local child, arrivals = transfers.start(
      [[
      mw.timers.set_timeout(function()
        process.on("message", function(message, handle)
          process.send { message = message, has_handle = handle ~= nil }
          if handle then handle:close() end
        end)
      end, 200)
    ]],
      opts
    )
    local server = sockets.listen()
    local called = 0
    child:send "one"
    child:send("two", server, function(err)
      assert(err == nil)
      called = called + 1
    end)
    child:send "three"
    transfers.arrived(arrivals, 3)
    assert.same({ message = "one", has_handle = false }, arrivals[1][1])
    assert.same({ message = "two", has_handle = true }, arrivals[2][1])
    assert.same({ message = "three", has_handle = false }, arrivals[3][1])
    assert.equal(1, called)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- HANDLE-06
  in_both("of 800 kB arrive whole, both ways", function(opts)
    local child, arrivals = transfers.start("process.on('message', function(m, h) process.send(m, h) end)", opts)
    local client, accepted, server = sockets.pair()
    local text = ("ä€😀x"):rep(80000) .. "end."
    assert.is_true(#text >= 800004)
    child:send(text, accepted)
    child:send "behind"
    local message, socket = transfers.arrived(arrivals)
    assert.is_true(message == text)
    assert.equal("behind", (transfers.arrived(arrivals, 2)))
    socket:finish "there and back"
    assert.equal("there and back", transfers.read_all(client))
    sockets.close(client, socket, server)
    transfers.end_of(child)
  end)

  -- IPC-11
  in_both("hold back what comes behind them: advice, order, callbacks", function(opts)
    local child, arrivals = start_ready(tell, opts)
    local server = sockets.listen()
    transfers.stop(child)
    local called, results = {}, {}
    for index = 1, 5 do
      results[index] = child:send(index, index == 1 and server or nil, function(err)
        called[#called + 1] = err or index
      end)
    end
    assert.same({ true, true, false, false, false }, results)
    turns()
    assert.same({}, called)
    child:kill "SIGCONT"
    transfers.arrived(arrivals, 5)
    eventually(function()
      return #called == 5
    end)
    assert.same({ 1, 2, 3, 4, 5 }, called)
    assert.is_true(child:send "again")
    assert.is_true(child:send "and again")
    transfers.arrived(arrivals, 7)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- IPC-11
  in_both("stay in order with 10000 behind one", function(opts)
    local child, arrivals = transfers.start(
      [[
      local seen, handles = 0, 0
      process.on("message", function(message, handle)
        seen = seen + 1
        if message ~= seen then process.send { wrong = message, at = seen } end
        if handle then handles = handles + 1 handle:close() end
        if seen == 10001 then process.send { seen = seen, handles = handles } end
      end)
    ]],
      opts
    )
    local server = sockets.listen()
    local called = 0
    child:send(1, server)
    for number = 2, 10000 do
      child:send(number)
    end
    child:send(10001, nil, nil, function()
      called = called + 1
    end)
    assert.same({ seen = 10001, handles = 1 }, (transfers.arrived(arrivals)))
    eventually(function()
      return called == 1
    end)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- HANDLE-08
  in_both("do not stand in each other's way when both sides send", function(opts)
    local count = 50
    local child, arrivals = transfers.start(
      ([[
      local server = mw.net.create_server()
      server:listen(0, "127.0.0.1", function()
        for number = 1, %d do process.send({ number = number, text = ("x"):rep(20000) }, server) end
        server:close()
      end)
      local seen = 0
      process.on("message", function(message, handle)
        seen = seen + 1
        assert(message.number == seen and handle)
        handle:close()
        if seen == %d then process.send "all" end
      end)
    ]]):format(count, count),
      opts
    )
    local server = sockets.listen()
    for number = 1, count do
      child:send({ number = number, text = ("y"):rep(20000) }, server)
    end
    transfers.arrived(arrivals, count + 1)
    local with_handle = 0
    for _, arrival in ipairs(arrivals) do
      if arrival[2] then
        with_handle = with_handle + 1
        assert.equal(with_handle, arrival[1].number)
        arrival[2]:close()
      end
    end
    assert.equal(count, with_handle)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- IPC-13
  in_both("arrive when disconnect() follows in the next statement", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        if socket then socket:finish(message) end
        _G.last = message
      end)
      process.on("disconnect", function() os.exit(_G.last == "last" and 7 or 1) end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    local called = {}
    local function note(err)
      called[#called + 1] = err or "ok"
    end
    child:send("first", accepted, note)
    child:send("last", nil, nil, note)
    child:disconnect()
    assert.is_false(child.connected)
    child:send("too late", nil, nil, note)
    assert.equal("first", transfers.read_all(client))
    assert.equal(7, forks.finish(child).code)
    assert.equal(3, #called)
    assert.same({ "ok", "ok" }, { called[1], called[2] })
    assert.equal("ERR_IPC_CHANNEL_CLOSED", called[3].code)
    assert.same({}, arrivals)
    sockets.close(client, server)
  end)

  -- IPC-13: behind one that waits for its acknowledgement
  in_both("keep disconnect() waiting until they are acknowledged", function(opts)
    local child = start_ready(
      [[
      process.on("message", function(message, socket)
        if socket then socket:finish(message) end
        _G.last = message
      end)
      process.on("disconnect", function() os.exit(_G.last == "last" and 7 or 1) end)
      process.send "ready"
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    transfers.stop(child)
    child:send("first", accepted)
    child:send "last"
    child:disconnect()
    turns()
    assert.is_not_nil(child.channel)
    child:kill "SIGCONT"
    assert.equal("first", transfers.read_all(client))
    assert.equal(7, forks.finish(child).code)
    sockets.close(client, server)
  end)

  -- CP-FORK-09 for handles: sent means delivered
  in_both("arrive when the sender exits in the next statement", function(opts)
    local child, arrivals = transfers.start(
      [[
      local server = mw.net.create_server()
      server:listen(0, "127.0.0.1", function()
        process.send(("x"):rep(300000), server)
        process.send "last"
        os.exit(5)
      end)
    ]],
      opts
    )
    local message, server = transfers.arrived(arrivals)
    assert.equal(300000, #message)
    assert.is_true(server.listening)
    assert.equal("last", (transfers.arrived(arrivals, 2)))
    assert.equal(5, forks.finish(child).code)
    sockets.close(server)
  end)

  -- "Every send callback comes exactly once"
  in_both("keep a sender alive who waits for nothing else", function(opts)
    local child, arrivals = transfers.start(
      [[
      local server = mw.net.create_server()
      server:listen(0, "127.0.0.1", function()
        process.send("server", server, function(err) os.exit(err == nil and 9 or 1) end)
        server:close()
      end)
    ]],
      opts
    )
    local _, server = transfers.arrived(arrivals)
    assert.equal(9, forks.finish(child).code)
    sockets.close(server)
  end)

  in_both("wait in the parent for its first listener, also after the child's end", function(opts)
    local path = forks.write(
      "exits.lua",
      [[
      local server = mw.net.create_server()
      server:listen(0, "127.0.0.1", function() process.send("server", server) os.exit(0) end)
    ]]
    )
    local child = mw.child_process.fork(path, {}, opts)
    child:wait "close"
    local message, server
    child:on("message", function(...)
      message, server = ...
    end)
    eventually(function()
      return message
    end)
    assert.equal("server", message)
    assert.is_true(server.listening)
    sockets.close(server)
  end)
end)

describe("A handle for a child that does not answer", function()
  after_each(forks.clean)

  -- HANDLE-03
  in_both("is kept open here until the child goes on and has it", function(opts)
    local child = start_ready(
      [[
      process.on("message", function(_, socket) socket:finish "I have it" end)
      process.send "ready"
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    local events = sockets.record(client, "end", "close", "error")
    local called = 0
    transfers.stop(child)
    child:send("socket", accepted, function(err)
      assert(err == nil)
      called = called + 1
    end)
    client:write "hello"
    turns()
    assert.equal(0, called)
    assert.equal("", sockets.names(events))
    child:kill "SIGCONT"
    assert.equal("I have it", transfers.read_all(client))
    eventually(function()
      return called == 1
    end)
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  -- HANDLE-09, IPC-21
  in_both("is closed when the child is killed; the callbacks get an error, once", function(opts)
    local child = start_ready(tell, opts)
    local client, accepted, server = sockets.pair()
    local called = {}
    local function note(err)
      called[#called + 1] = err and err.code or "ok"
    end
    transfers.stop(child)
    child:send("socket", accepted, note)
    child:send("behind", nil, nil, note)
    child:send("server", server, note)
    turns()
    transfers.kill(child)
    client:resume()
    eventually(function()
      return client.closed
    end)
    turns()
    -- In JSON what is behind a handle has not gone out.
    local behind = opts.serialization == "json" and "ERR_IPC_CHANNEL_CLOSED" or "ok"
    assert.same({ "ERR_IPC_CHANNEL_CLOSED", behind, "ERR_IPC_CHANNEL_CLOSED" }, called)
    assert.is_true(server.listening)
    sockets.close(server)
  end)

  -- HANDLE-09
  in_both("is closed when the child never listens and exits", function(opts)
    local path = forks.write("deaf.lua", "mw.timers.set_timeout(function() end, 150)")
    local child = mw.child_process.fork(path, {}, opts)
    local client, accepted, server = sockets.pair()
    client:resume()
    local called = 0
    child:send("socket", accepted, function()
      called = called + 1
    end)
    child:wait "close"
    eventually(function()
      return client.closed
    end)
    assert.equal(1, called)
    sockets.close(server)
  end)

  -- IPC-21
  it("that has just been killed is an error and no more", function()
    local child = start_ready(tell)
    local client, accepted, server = sockets.pair()
    client:resume()
    child:kill "SIGKILL"
    while proc.is_alive(child.pid) do -- and the loop does not turn, so nobody has told us
    end
    local called = {}
    for index = 1, 3 do
      child:send(index, index == 2 and accepted or nil, function(err)
        called[#called + 1] = err and err.code or "ok"
      end)
    end
    forks.finish(child)
    eventually(function()
      return #called == 3 and client.closed
    end)
    sockets.close(server)
  end)

  -- IPC-09
  it("that is gone gives the error to the callback, and leaves the socket ours", function()
    local child = start_ready(tell)
    transfers.kill(child)
    local client, accepted, server = sockets.pair()
    local err
    assert.is_false(child:send("late", accepted, function(value)
      err = value
    end))
    eventually(function()
      return err
    end)
    assert.equal("ERR_IPC_CHANNEL_CLOSED", err.code)
    accepted:finish "still here"
    assert.equal("still here", transfers.read_all(client))
    sockets.close(client, accepted, server)
  end)
end)

describe("What is no handle", function()
  after_each(forks.clean)

  -- IPC-03
  it("raises, in the parent", function()
    local child = start_ready(tell)
    local function not_called()
      error "called"
    end
    for _, value in ipairs {
      1,
      "text",
      true,
      {},
      io.stderr,
      mw.emitter.new(),
      child,
      child.channel,
      coroutine.create(print),
      mw.null,
    } do
      local text = misuse(function()
        child:send("message", value, {}, not_called)
      end)
      assert.matches("ERR_INVALID_HANDLE_TYPE", text, 1, true)
      assert.matches("^send: bad argument 'handle'", text)
    end
    local timer = mw.timers.set_timeout(function() end, 10000)
    assert.matches(
      "ERR_INVALID_HANDLE_TYPE",
      misuse(function()
        child:send("message", timer)
      end)
    )
    mw.timers.clear_timeout(timer)
    assert.is_true(child:send "fine")
    transfers.end_of(child)
  end)

  -- IPC-03
  it("raises, in the child", function()
    local child, arrivals = transfers.start [[
      local ok, err = pcall(process.send, "message", {}, nil, function() process.send "called" end)
      process.send { ok, err }
      process.disconnect()
    ]]
    local message = transfers.arrived(arrivals)
    assert.is_false(message[1])
    assert.matches("ERR_INVALID_HANDLE_TYPE", message[2])
    forks.finish(child)
    assert.equal(1, #arrivals)
  end)

  it("may stand in a message that cannot be sent: the handle stays ours", function()
    local child = start_ready(tell)
    local client, accepted, server = sockets.pair()
    local text = misuse(function()
      child:send({ 1, { fn = print } }, accepted)
    end)
    assert.matches("message[2].fn", text, 1, true)
    assert.is_nil(accepted.destroyed)
    accepted:finish "fine"
    assert.equal("fine", transfers.read_all(client))
    sockets.close(client, accepted, server)
    transfers.end_of(child)
  end)
end)
