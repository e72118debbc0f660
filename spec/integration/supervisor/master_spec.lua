local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local proc = require "spec.support.proc"
local raw = require "spec.support.raw_http"
local scratch = require "spec.support.scratch"

local process = mw.process

local folder

before_each(function()
  folder = scratch.new()
end)

after_each(function()
  folder:remove()
end)

local prelude = [[
  local mw = require "mw"
  local supervisor = mw.supervisor.start { script = arg[1], workers = 2, ready = "message", %s }
  supervisor:on("ready", function(worker) print("ready", worker.pid) end)
  supervisor:on("exit", function(worker, code, signal) print("exit", worker.pid, code, signal) end)
  supervisor:on("reload", function(ok) print("reload", ok) end)
  supervisor:on("give_up", function(reason) print("gave up", reason) end)
]]

local good = "require('mw').process.send 'ready'"

-- Starts a master; returns the child and a function for what it has printed.
local function start(worker_code, opts)
  local master = folder:write("master.lua", prelude:format(opts or ""))
  local child = mw.child_process.spawn(process.exec_path, { master, folder:write("worker.lua", worker_code) }, {
    process_group = true,
  })
  return child, children.collect(child.stdout), children.collect(child.stderr)
end

local function count(text, word)
  return select(2, text:gsub("%f[%g]" .. word .. "\t", ""))
end

local function wait_for(printed, word, number)
  eventually(function()
    return count(printed(), word) >= number
  end)
end

local function workers_of(text)
  local pids = {}
  for pid in text:gmatch "ready\t(%d+)" do
    pids[#pids + 1] = math.tointeger(tonumber(pid))
  end
  return pids
end

describe("A master", function()
  for _, signal in ipairs { "SIGTERM", "SIGINT" } do
    it("stops its workers and ends with 0 at " .. signal, function()
      local child, printed = start(good)
      wait_for(printed, "ready", 2)
      child:kill(signal)
      local result = children.finish(child)
      assert.same({ 0, nil }, { result.code, result.signal })
      assert.equal(2, count(printed(), "exit"))
    end)
  end

  it("stops at once at a second signal, with 0 all the same", function()
    local code = [[
      local mw = require "mw"
      mw.process.on("disconnect", function()
        print "asked\t"
        mw.timers.set_timeout(print, 60000)
      end)
    ]] .. good
    local child, printed = start(code, "graceful_timeout = 60000")
    wait_for(printed, "ready", 2)
    child:kill "SIGTERM"
    wait_for(printed, "asked", 2)
    child:kill "SIGTERM"
    local result = children.finish(child)
    assert.same({ 0, nil }, { result.code, result.signal })
    assert.equal(2, select(2, printed():gsub("SIGKILL", "")))
  end)

  it("reloads at SIGHUP", function()
    local child, printed = start(good)
    wait_for(printed, "ready", 2)
    child:kill "SIGHUP"
    wait_for(printed, "reload", 1)
    assert.equal(4, count(printed(), "ready"))
    child:kill "SIGTERM"
    assert.equal(0, children.finish(child).code)
  end)

  it("alone minds a signal that its whole process group gets", function()
    local child, printed = start(good)
    wait_for(printed, "ready", 2)
    process.kill(-child.pid, "SIGHUP")
    wait_for(printed, "reload", 1)
    assert.equal(4, count(printed(), "ready"))
    process.kill(-child.pid, "SIGTTIN")
    wait_for(printed, "ready", 5)
    process.kill(-child.pid, "SIGTTOU")
    wait_for(printed, "exit", 3)
    assert.is_nil(printed():find "SIG")
    process.kill(-child.pid, "SIGTERM")
    assert.equal(0, children.finish(child).code)
  end)

  it("reloads once more for all SIGHUPs that come during a reload", function()
    local child, printed = start("local mw = require 'mw'; mw.sleep(100) " .. good)
    wait_for(printed, "ready", 2)
    for _ = 1, 10 do
      child:kill "SIGHUP"
      mw.sleep(1)
    end
    wait_for(printed, "reload", 2)
    child:kill "SIGTERM"
    assert.equal(0, children.finish(child).code)
    assert.equal(2, count(printed(), "reload"))
    assert.equal(6, count(printed(), "ready"))
  end)

  it("starts one more at SIGTTIN and stops one at SIGTTOU, but not the last", function()
    local child, printed = start(good)
    wait_for(printed, "ready", 2)
    child:kill "SIGTTIN"
    wait_for(printed, "ready", 3)
    for gone = 1, 2 do
      child:kill "SIGTTOU"
      wait_for(printed, "exit", gone)
    end
    child:kill "SIGTTOU"
    child:kill "SIGTERM"
    assert.equal(0, children.finish(child).code)
    assert.equal(3, count(printed(), "exit"))
  end)

  it("that goes on without workers does not mind what is for them, and ends at SIGTERM", function()
    local master = folder:write("master.lua", [[
      local mw = require "mw"
      local supervisor = mw.supervisor.start { script = arg[1], workers = 1, ready = "message" }
      supervisor:wait "ready"
      supervisor:stop()
      mw.process.on("SIGUSR1", print)
      mw.timers.set_interval(function() end, 1000)
      print "stopped\t"
    ]])
    local child = mw.child_process.spawn(process.exec_path, { master, folder:write("worker.lua", good) })
    local printed = children.collect(child.stdout)
    wait_for(printed, "stopped", 1)
    for number, signal in ipairs { "SIGHUP", "SIGUSR2", "SIGTTIN", "SIGTTOU" } do
      child:kill(signal)
      child:kill "SIGUSR1"
      wait_for(printed, "SIGUSR1", number)
    end
    child:kill "SIGTERM"
    assert.equal("SIGTERM", children.finish(child).signal)
  end)

  it("says why and ends with 1 where no worker was ever ready", function()
    local child, printed, complaints = start("error 'no database'", "restart = { limit = 2, delay = 1 }")
    local result = children.finish(child)
    assert.equal(1, result.code)
    assert.matches("gave up\tworker %d+ .*no database", printed())
    assert.matches("no worker was ever ready, giving up: ", complaints(), 1, true)
    assert.is_true(count(printed(), "exit") <= 6)
  end)

  it("does not even try again where a worker says that there is no use", function()
    local child, printed = start "os.exit(104)"
    assert.equal(1, children.finish(child).code)
    assert.equal(2, count(printed(), "exit"))
  end)

  it("takes its workers with it when it is killed", function()
    local child, printed = start(good)
    wait_for(printed, "ready", 2)
    local pids = workers_of(printed())
    child:kill "SIGKILL"
    children.finish(child)
    for _, pid in ipairs(pids) do
      eventually(function()
        return not proc.is_alive(pid)
      end)
    end
  end)

  it("that is killed leaves workers which answer what is under way, and end", function()
    local server, port = raw.serve(function() end)
    raw.close(server)
    local child, printed = start(([[
      local mw = require "mw"
      mw.http.create_server(function(req, res)
        print "asked\t"
        while not io.open(arg[0] .. ".go") do mw.sleep(5) end
        res:finish("from " .. mw.process.pid)
      end):listen(%d, "127.0.0.1", function()
        mw.process.send "ready"
      end)
    ]]):format(port), "graceful_timeout = 20000")
    wait_for(printed, "ready", 2)
    local slow = mw.go(raw.request, port, "GET /")
    wait_for(printed, "asked", 1)
    child:kill "SIGKILL"
    children.finish(child)
    folder:write("worker.lua.go", "")
    local pid = slow:join():match "200 OK.*from (%d+)"
    eventually(function()
      return not proc.is_alive(math.tointeger(tonumber(pid)))
    end)
  end)

  for what, code in pairs {
    ["is hung"] = "mw.timers.set_timeout(function() while true do end end, 1)",
    ["does not come to its end"] = "mw.timers.set_interval(function() end, 10)",
    ["refuses to end"] = "mw.process.on('exit', function() while true do end end) mw.timers.set_interval(function() end, 10)",
  } do
    it("that is killed takes a worker with it that " .. what .. ", within graceful_timeout", function()
      local child, printed = start("local mw = require 'mw'; " .. code .. " " .. good, "graceful_timeout = 500")
      wait_for(printed, "ready", 2)
      local pids = workers_of(printed())
      local start_time = process.hrtime()
      child:kill "SIGKILL"
      children.finish(child)
      for _, pid in ipairs(pids) do
        eventually(function()
          return not proc.is_alive(pid)
        end)
      end
      assert.is_true(process.hrtime() - start_time < 4500 * 1000000) -- it is 5000 where nobody says
    end)
  end

  for name, redirection in pairs { ["a full disk"] = ">/dev/full 2>&1", ["readers that have gone"] = "2>&1 | :" } do
    it("goes on where what is written goes to " .. name, function()
      local server, port = raw.serve(function() end)
      raw.close(server)
      local script = folder:write("app.lua", ([[
        local mw = require "mw"
        local count = 0
        mw.timers.set_interval(function()
          count = count + 1
          print "on"
          io.stderr:write "and on\n"
        end, 5):unref()
        mw.http.create_server(function(_, res) res:finish(tostring(count)) end):listen(%d, "127.0.0.1")
      ]]):format(port))
      local command = ("'%s' -w 1 %s & echo $! >&3; wait $!; echo status $? >&3"):format(process.exec_path, script)
      local shell = mw.child_process.spawn("sh", { "-c", "{ " .. command .. "; } " .. redirection }, {
        stdio = { "ignore", "ignore", "ignore", "pipe" },
      })
      local told = children.collect(shell.stdio[3])
      eventually(function()
        local res = mw.http.get { host = "127.0.0.1", port = port, headers = { connection = "close" } }
        return res and (tonumber(res:body()) or 0) > 20
      end, 20000)
      process.kill(tonumber(told():match "%d+"), "SIGTERM")
      shell:wait "close"
      assert.matches("status 0", told())
    end)
  end

  it("passes on all that a worker writes, to the last word", function()
    local code = "for number = 1, 2000 do io.write('line ', number, '\\n') end io.stderr:write 'last words' "
      .. good .. " require('mw').process.exit(0)"
    local child, printed, complaints = start(code, "restart = { limit = 0, max_delay = 60000 }")
    wait_for(printed, "exit", 2)
    child:kill "SIGTERM"
    children.finish(child)
    assert.equal(2, select(2, printed():gsub("line 2000\n", "")))
    assert.equal(4000, select(2, printed():gsub("line %d+\n", "")))
    assert.is_true(select(2, complaints():gsub("%f[^\n\0]last words\n", "")) >= 2)
  end)
end)
