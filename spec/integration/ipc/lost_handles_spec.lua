-- HANDLE-15: handles for a process that has too many descriptors open.

local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local leaks = require "spec.support.leaks"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"
local turns = require "spec.support.turns"

local in_both = transfers.in_both

-- Opens files until there are no descriptors left; `free` gives them back. Tells
-- what comes, with the number of the message.
local starve = [[
  require "mw.ipc.handle" -- needs descriptors itself where Lua comes from a source tree
  local files = {}
  local function fill()
    repeat
      local file = io.open "/dev/null"
      files[#files + 1] = file
    until not file
  end
  local function free()
    for _, file in ipairs(files) do file:close() end
    files = {}
  end
  process.on("message", function(message, handle)
    process.send { message = message, has_handle = handle ~= nil }
    if handle then handle[handle.destroy and "destroy" or "close"](handle) end
    if message == "free" then free() end
  end)
  fill()
  process.send "full"
]]

local function start_full(opts, code)
  local all = { limits = { nofile = 40 }, stdio = { "ignore", "inherit", "pipe", "ipc" } }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  local child, arrivals = transfers.start(code or starve, all)
  assert.equal("full", (transfers.arrived(arrivals)))
  table.remove(arrivals)
  return child, arrivals
end

-- Runs `fn` with what this process writes to its standard error in a file.
local function with_stderr(fn)
  local old, file = io.stderr, assert(io.tmpfile())
  rawset(io, "stderr", file)
  local ok, err = pcall(fn)
  rawset(io, "stderr", old)
  file:seek "set"
  local text = file:read "a"
  file:close()
  assert(ok, err)
  return text
end

describe("A handle that the receiver has no descriptor for", function()
  after_each(forks.clean)

  in_both("is sent again, then given up with a line; its message comes without it, in order", function(opts)
    local child, arrivals = start_full(opts)
    local client, accepted, server = sockets.pair()
    client:resume()
    local called = {}
    local text = with_stderr(function()
      child:send "before"
      child:send("socket", accepted, function(err)
        called[#called + 1] = err or "socket"
      end)
      child:send("behind", nil, nil, function(err)
        called[#called + 1] = err or "behind"
      end)
      child:send "last"
      transfers.arrived(arrivals, 4)
      eventually(function()
        return #called == 2
      end)
    end)
    local expected = {}
    for index, message in ipairs { "before", "socket", "behind", "last" } do
      expected[index] = { { message = message, has_handle = false } }
    end
    assert.same(expected, arrivals)
    assert.same({ "socket", "behind" }, called)
    assert.equal("mwrun: a handle did not reach the receiving process: it has too many descriptors open\n", text)
    eventually(function()
      return client.closed
    end)
    sockets.close(server)
    transfers.end_of(child)
  end)

  in_both("arrives when there are descriptors again in time", function(opts)
    local child, arrivals = start_full(opts)
    local client, accepted, server = sockets.pair()
    child:send "free"
    child:send("socket", accepted)
    child:send "behind"
    transfers.arrived(arrivals, 3)
    assert.same({ message = "free", has_handle = false }, arrivals[1][1])
    assert.same({ message = "socket", has_handle = true }, arrivals[2][1])
    assert.same({ message = "behind", has_handle = false }, arrivals[3][1])
    client:resume()
    eventually(function()
      return client.closed
    end)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- The first try fails: "free" is handled only after the whole batch is read.
  in_both("arrives at a later try, before what was sent behind it", function(opts)
    local child, arrivals = start_full(
      opts,
      (starve:gsub("process.on%(", [[
        mw.timers.set_immediate(function() process.send "full" end)
        process.on(]], 1):gsub('fill%(%)%s*process.send "full"', "fill()"))
    )
    local server = sockets.listen()
    transfers.stop(child)
    child:send "free"
    child:send("one", server)
    child:send("two", server)
    child:send "three"
    turns()
    child:kill "SIGCONT"
    transfers.arrived(arrivals, 4)
    local got = {}
    for index, arrival in ipairs(arrivals) do
      got[index] = ("%s %s"):format(arrival[1].message, arrival[1].has_handle)
    end
    assert.same({ "free false", "one true", "two true", "three false" }, got)
    sockets.close(server)
    transfers.end_of(child)
  end)

  -- The channel must go on reading while it waits for the handle.
  in_both("does not stop the channel, however much was sent behind it", function(opts)
    local child, arrivals = start_full(
      opts,
      [[
      require "mw.ipc.handle"
      local files, seen, handles = {}, 0, 0
      process.on("message", function(message, handle)
        seen = seen + 1
        if handle then handle:close() end
        if message ~= seen then process.send { wrong = message, at = seen } end
        if seen == 30000 then process.send(seen) end
      end)
      repeat
        local file = io.open "/dev/null"
        files[#files + 1] = file
      until not file
      process.send "full"
    ]]
    )
    local server = sockets.listen()
    with_stderr(function()
      child:send(1, server)
      for number = 2, 30000 do
        child:send(number)
      end
      assert.equal(30000, (transfers.arrived(arrivals)))
    end)
    sockets.close(server)
    transfers.end_of(child)
  end)

  in_both("may be one of many", function(opts)
    local some_left = 'table.remove(files):close() table.remove(files):close() process.send "full"'
    local child, arrivals = start_full(opts, (starve:gsub('process.send "full"', some_left)))
    local server = sockets.listen()
    with_stderr(function()
      transfers.stop(child)
      for number = 1, 20 do
        child:send(number, server)
      end
      turns()
      child:kill "SIGCONT"
      transfers.arrived(arrivals, 20)
    end)
    for number, arrival in ipairs(arrivals) do
      assert.equal(number, arrival[1].message)
    end
    assert.is_true(arrivals[1][1].has_handle)
    sockets.close(server)
    transfers.end_of(child)
  end)

  in_both("goes with the child, when that is killed meanwhile", function(opts)
    local child = start_full(opts)
    local client, accepted, server = sockets.pair()
    client:resume()
    transfers.stop(child)
    child:send("socket", accepted)
    turns()
    child:kill "SIGCONT"
    transfers.kill(child)
    eventually(function()
      return client.closed
    end)
    sockets.close(server)
  end)
end)

describe("A sender that has no descriptor left", function()
  after_each(forks.clean)

  in_both("is told so, and keeps its handle", function(opts)
    local all = { limits = { nofile = 40 } }
    for key, value in pairs(opts) do
      all[key] = value
    end
    local child, arrivals = transfers.start(
      [[
      require "mw.ipc.handle"
      local server = mw.net.create_server()
      server:listen(0, "127.0.0.1", function()
        local files = {}
        repeat
          local file = io.open "/dev/null"
          files[#files + 1] = file
        until not file
        local result
        result = process.send("full", server, function(err)
          for _, file in ipairs(files) do file:close() end
          process.send({ code = err and err.code, result = result, listening = server.listening }, server)
          server:close()
        end)
      end)
    ]],
      all
    )
    local message, server = transfers.arrived(arrivals)
    assert.same({ code = "EMFILE", result = false, listening = true }, message)
    assert.is_true(server.listening)
    sockets.close(server)
    transfers.end_of(child)
    assert.is_true(leaks.descriptor_count() > 0)
  end)
end)
