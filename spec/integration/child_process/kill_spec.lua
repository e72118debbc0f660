local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"

local spawn = child_process.spawn

local folder, idle_script

before_each(function()
  folder = scratch.new()
  idle_script = folder:write("idle.lua", 'require("mw.timers").set_interval(print, 1000000)')
end)

after_each(function()
  folder:remove()
end)

-- The two ways to start what runs until it is killed.
local starters = {
  spawn = function(opts)
    return spawn("sleep", { "60" }, opts)
  end,
  fork = function(opts)
    opts.silent = true
    return child_process.fork(idle_script, {}, opts)
  end,
}

-- Starts a shell with this script and waits for its first line.
local function start_shell(script, opts)
  local child = spawn("/bin/sh", { "-c", script }, opts)
  local text = children.collect(child.stdout)
  eventually(function()
    return text():find "\n"
  end)
  return child, text
end

describe("kill", function()
  -- CP-KILL-01
  it("sends SIGTERM, returns true and sets killed at once", function()
    local child = spawn("sleep", { "60" })
    local events = children.record(child)
    assert.is_false(child.killed)
    assert.is_true(child:kill())
    assert.is_true(child.killed)
    assert.is_nil(child.signal_code)
    assert.same({}, events)
    children.closed(events)
    assert.equal("spawn exit close", children.names(events))
    assert.same({ "exit", n = 2, nil, "SIGTERM" }, children.event(events, "exit"))
    assert.is_true(child.killed)
  end)

  -- CP-KILL-01
  it("sets killed also where the child catches the signal and goes on", function()
    local child, text = start_shell "trap 'echo caught' TERM; echo ready; until read line; do :; done; exit 3"
    assert.is_true(child:kill())
    assert.is_true(child.killed)
    eventually(function()
      return text():find "caught"
    end)
    assert.is_true(proc.is_alive(child.pid))
    child.stdin:finish "\n"
    assert.equal(3, child:wait("close", 5000))
  end)

  -- CP-KILL-01
  it("takes names in any letter case, and numbers", function()
    local names = { sigkill = "SIGKILL", SigInt = "SIGINT", [1] = "SIGHUP", [9.0] = "SIGKILL", SIGUSR2 = "SIGUSR2" }
    for signal, name in pairs(names) do
      local child = spawn("sleep", { "60" })
      assert.is_true(child:kill(signal))
      local code, ended_by = child:wait("exit", 5000)
      assert.is_nil(code)
      assert.equal(name, ended_by)
      child:wait("close", 5000)
    end
  end)

  -- CP-KILL-01
  it("raises for a signal that there is not, and does nothing", function()
    local child = spawn "cat"
    local function message_for(signal)
      return misuse(function()
        child:kill(signal)
      end)
    end
    for _, signal in ipairs { "SIGNOTHING", "", "TERM", "foo", 65, 1000, -1 } do
      assert.matches("ERR_UNKNOWN_SIGNAL", message_for(signal), 1, true)
    end
    for _, signal in ipairs { true, false, {}, 1.5 } do
      assert.matches("'signal'", message_for(signal), 1, true)
    end
    assert.is_false(child.killed)
    child.stdin:finish()
    assert.equal(0, child:wait("close", 5000))
    assert.matches("ERR_UNKNOWN_SIGNAL", message_for "SIGNOTHING", 1, true)
  end)

  -- CP-KILL-02
  it("with 0 only asks", function()
    local child = spawn "cat"
    local events = children.record(child)
    for _ = 1, 3 do
      assert.is_true(child:kill(0))
    end
    assert.is_false(child.killed)
    child.stdin:finish()
    children.closed(events)
    assert.same({ "exit", n = 2, 0 }, children.event(events, "exit"))
    assert.equal("spawn exit close", children.names(events))
    assert.is_false(child:kill(0))
    assert.is_false(child.killed)
  end)

  -- CP-KILL-03
  it("after the end returns false, with no event", function()
    local child = spawn "true"
    local events = children.record(child)
    local in_handler
    child:on("exit", function()
      in_handler = { child:kill(), child:kill(0), child:kill "SIGKILL", child:kill_tree() }
    end)
    children.closed(events)
    assert.same({ false, false, false, false }, in_handler)
    assert.is_false(child:kill())
    assert.is_false(child:kill "SIGKILL")
    assert.is_false(child:kill_tree())
    assert.is_false(child.killed)
    mw.sleep(1)
    assert.equal("spawn exit close", children.names(events))
  end)

  -- CP-KILL-03
  it("of what could not be started returns false", function()
    local child = spawn "/no/such/program"
    assert.is_false(child:kill())
    assert.is_false(child.killed)
    local events = children.record(child)
    children.closed(events)
    assert.is_false(child:kill())
    assert.equal("error close", children.names(events))
  end)

  -- CP-KILL-05
  it("of a shell leaves its descendants alive", function()
    local child, text = start_shell "sleep 60 >/dev/null 2>&1 & echo $!; wait"
    local descendant = tonumber(text())
    child:kill()
    local _, signal = child:wait("close", 5000)
    assert.equal("SIGTERM", signal)
    assert.is_true(proc.is_alive(descendant))
    mw.process.kill(descendant, "SIGKILL")
    eventually(function()
      return not proc.is_alive(descendant)
    end)
  end)

  -- CP-KILL-05
  it("leaves them alive where kill_tree takes all", function()
    local child, text = start_shell "sh -c 'sleep 60 & echo $!; wait' & wait"
    local descendant = tonumber(text())
    assert.is_true(child:kill_tree())
    assert.is_true(child.killed)
    local _, signal = child:wait("close", 5000)
    assert.equal("SIGTERM", signal)
    eventually(function()
      return not proc.is_alive(descendant)
    end)
  end)
end)

describe("A to-be-closed variable", function()
  -- CP-KILL-06
  it("sends SIGTERM when its scope is left, and waits for nothing", function()
    local seen, events
    do
      local child <close> = spawn("sleep", { "60" })
      seen, events = child, children.record(child)
    end
    assert.is_true(seen.killed)
    assert.same({}, events)
    children.closed(events)
    assert.same({ "exit", n = 2, nil, "SIGTERM" }, children.event(events, "exit"))
  end)

  -- CP-KILL-06
  it("does so where an error leaves the scope, too", function()
    local seen
    local ok, err = pcall(function()
      local child <close> = spawn("sleep", { "60" })
      seen = child
      error("on the way", 0)
    end)
    assert.is_false(ok)
    assert.equal("on the way", err)
    local _, signal = seen:wait("close", 5000)
    assert.equal("SIGTERM", signal)
  end)

  -- CP-KILL-06
  it("is harmless where the child has ended, or never was", function()
    local seen
    do
      local child <close> = spawn "true"
      seen = child
      child:wait("close", 5000)
    end
    assert.is_false(seen.killed)
    local events
    do
      local child <close> = spawn "/no/such/program"
      events = children.record(child)
    end
    children.closed(events)
    assert.equal("error close", children.names(events))
  end)
end)

for name, start in pairs(starters) do
  local ends = name == "fork" and "exit disconnect close" or "exit close"

  -- The names of the events, `disconnect` after `exit` although its place is
  -- free.
  local function order(events)
    local names = children.names(events)
    return (names:gsub("disconnect exit", "exit disconnect"))
  end

  describe("timeout of " .. name, function()
    -- CP-KILL-07
    it("ends the child by SIGTERM or kill_signal, with no error", function()
      for given, expected in pairs { SIGTERM = "SIGTERM", sigkill = "SIGKILL", [10] = "SIGUSR1" } do
        local child = start { timeout = 20, kill_signal = given ~= "SIGTERM" and given or nil }
        local events = children.record(child)
        children.closed(events)
        assert.equal("spawn " .. ends, order(events))
        assert.same({ "exit", n = 2, nil, expected }, children.event(events, "exit"))
        assert.is_true(child.killed)
      end
    end)

    -- CP-KILL-07
    it("is forgotten at the end of the child", function()
      local child = start { timeout = 60000 }
      child:kill "SIGKILL"
      local _, signal = child:wait("close", 5000)
      assert.equal("SIGKILL", signal)
      assert.is_nil(child._timer)
    end)
  end)

  describe("An abort token of " .. name, function()
    -- CP-KILL-08
    it("ends the child: error with the reason as its cause, then exit", function()
      for given, expected in pairs { SIGTERM = "SIGTERM", SIGKILL = "SIGKILL" } do
        local controller = mw.abort_controller()
        local child = start { signal = controller.signal, kill_signal = given ~= "SIGTERM" and given or nil }
        local events = children.record(child)
        child:wait("spawn", 5000)
        assert.equal(1, controller.signal:listener_count "abort")
        local reason = { "a reason" }
        controller:abort(reason)
        assert.is_true(child.killed)
        children.closed(events)
        assert.equal("spawn error " .. ends, order(events))
        local err = children.event(events, "error")[2]
        assert.equal("ABORT_ERR", err.code)
        assert.equal(reason, err.cause)
        assert.matches("^ABORT_ERR: ", tostring(err))
        assert.same({ "exit", n = 2, nil, expected }, children.event(events, "exit"))
        assert.equal(0, controller.signal:listener_count "abort")
      end
    end)

    -- CP-KILL-08
    it("has an error for cause where no reason was given", function()
      local controller = mw.abort_controller()
      local child = start { signal = controller.signal }
      local events = children.record(child)
      controller:abort()
      children.closed(events)
      assert.equal(controller.signal.reason, children.event(events, "error")[2].cause)
      assert.equal("ABORT_ERR", controller.signal.reason.code)
    end)

    -- CP-KILL-09
    it("that is aborted already starts nothing: error and close, later", function()
      local controller = mw.abort_controller()
      controller:abort "too late"
      local child = start { signal = controller.signal }
      assert.is_nil(child.pid)
      assert.is_false(child:kill())
      local events = children.record(child)
      children.closed(events)
      assert.equal("error close", (children.names(events):gsub("disconnect ", "")))
      local err = children.event(events, "error")[2]
      assert.equal("ABORT_ERR", err.code)
      assert.equal("too late", err.cause)
      assert.is_nil(child.pid)
      assert.is_false(child.connected)
      assert.equal(0, controller.signal:listener_count "abort")
    end)

    -- CP-KILL-10
    it("does nothing after exit, and has no listener then", function()
      local controller = mw.abort_controller()
      local child = start { signal = controller.signal }
      local events = children.record(child)
      local count
      child:on("exit", function()
        count = controller.signal:listener_count "abort"
        controller:abort()
      end)
      child:kill "SIGKILL"
      children.closed(events)
      assert.equal(0, count)
      assert.equal("spawn " .. ends, order(events))
      assert.same({ "exit", n = 2, nil, "SIGKILL" }, children.event(events, "exit"))
    end)
  end)
end

describe("A token", function()
  -- CP-KILL-10
  it("that is aborted between exit and close does nothing", function()
    local controller = mw.abort_controller()
    -- A descendant holds the pipe, so close is a long time coming.
    local child, text = start_shell("sleep 60 & echo $!; exit 2", { signal = controller.signal })
    local events = children.record(child)
    assert.equal(2, child:wait("exit", 5000))
    assert.equal(0, controller.signal:listener_count "abort")
    assert.is_nil(children.event(events, "close"))
    controller:abort()
    mw.sleep(1)
    assert.is_nil(children.event(events, "error"))
    mw.process.kill(tonumber(text()), "SIGKILL")
    children.closed(events)
    assert.is_nil(children.event(events, "error"))
    assert.equal(2, child.exit_code)
  end)

  -- CP-KILL-10
  it("may end many children, each with its own error", function()
    local controller = mw.abort_controller()
    local all = {}
    for index = 1, 5 do
      all[index] = children.record(spawn("sleep", { "60" }, { signal = controller.signal }))
    end
    assert.equal(5, controller.signal:listener_count "abort")
    controller:abort()
    for _, events in ipairs(all) do
      children.closed(events)
      assert.equal("spawn error exit close", (children.names(events):gsub("error spawn", "spawn error")))
    end
    assert.equal(0, controller.signal:listener_count "abort")
  end)

  -- CP-KILL-09
  it("that is aborted already starts no process", function()
    local controller = mw.abort_controller()
    controller:abort()
    local child = spawn("touch", { folder.path .. "/started" }, { signal = controller.signal })
    children.closed(children.record(child))
    assert.is_nil(folder:read "started")
  end)
end)
