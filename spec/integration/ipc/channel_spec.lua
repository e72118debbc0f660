-- The life of a channel: what it keeps alive, and how it ends.

local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local mw = require "mw"
local proc = require "spec.support.proc"

local in_both, end_of = forks.in_both, forks.end_of

-- Tells, in a turn that only comes where something else keeps the loop alive.
local tell_if_alive = "; mw.timers.set_timeout(process.send, 20, 'alive'):unref(); "

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
