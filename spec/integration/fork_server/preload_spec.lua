-- The option `preload`: what is loaded, once, and what can't be.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local fork_server = require "mw.fork_server"
local leaks = require "spec.support.leaks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"

local folder

before_each(function()
  folder = scratch.new()
end)

after_each(function()
  folder:remove()
end)

-- Forks a script in the folder, where modules are found too; `modules` has
-- their code by name.
local function start(code, modules, options)
  local opts = { cwd = folder.path, silent = true, preload = {} }
  for name, text in pairs(modules) do
    folder:write(name .. ".lua", text)
    table.insert(opts.preload, name)
  end
  for key, value in pairs(options or {}) do
    opts[key] = value
  end
  return child_process.fork(folder:write("script.lua", code), {}, opts)
end

local function run(...)
  return children.finish(start(...))
end

-- The fork server that runs now, and its title.
local function find_server()
  for _, pid in ipairs(leaks.children()) do
    local file = io.open(("/proc/%d/cmdline"):format(pid))
    local title = file and file:read "a" or ""
    if title:find "^mwrun: fork server" then
      return pid, title:match "^[^\0]*"
    end
  end
end

describe("A module that is preloaded", function()
  it("runs once, before the workers, which find it loaded", function()
    local app = "io.open('loads', 'a'):write('x'):close() return { number = 7 }"
    for _ = 1, 3 do
      local result = run("local app = require 'app' io.write(app.number) app.number = 8", { app = app })
      assert.equal("7", result.stdout)
      assert.equal(0, result.code)
    end
    assert.equal("x", folder:read "loads")
  end)

  it("is in no process that does not ask for it", function()
    local asks = "io.write(tostring(package.loaded.app ~= nil))"
    assert.equal("true", run(asks, { app = "" }).stdout)
    assert.equal("false", run(asks, { other = "" }).stdout)
    assert.equal("false", run(asks, {}).stdout)
  end)

  it("may be named relative to the folder of the worker", function()
    folder:write("near.lua", "return 'near'")
    local result = run("io.write(require './near')", {}, { preload = { "./near" } })
    assert.equal("near", result.stdout)
    assert.equal(0, result.code)
  end)

  it("is found by the variables of the worker", function()
    folder:write("far.lua", "return 'far'")
    local env = { LUA_PATH = folder.path .. "/?.lua;;" }
    local code = "io.write(require 'far')"
    assert.equal("far", run(code, {}, { preload = { "far" }, cwd = "/", env = env }).stdout)
    local result = run(code, {}, { preload = { "far" }, cwd = "/", env = env, exec_argv = { "-E" } })
    assert.equal("ERR_MODULE_NOT_FOUND", result.error.code)
  end)

  it("may use all that needs no event loop", function()
    local app = [[
      local mw = require "mw"
      local file <close> = assert(io.open "app.lua")
      assert(#file:read "a" > 0)
      assert(mw.child_process.exec_sync("echo x").stdout == "x\n")
      assert(require("luv").fs_stat "app.lua")
      mw.process.on("message", function(m) mw.process.send("got " .. m) mw.process.disconnect() end)
      return { pid = mw.process.pid, process = mw.process, now = require("luv").now }
    ]]
    local child = start("local app = require 'app' assert(app.process.pid ~= app.pid and app.now() > 0)", { app = app })
    child:send "it"
    assert.equal("got it", child:wait "message")
    assert.equal(0, children.finish(child).code)
  end)

  it("leaves each worker its own thread pool", function()
    local app = "return require('luv').fs_stat"
    local code = "require 'app'('.', function(err, stat) io.write(tostring(err), ' ', stat.type) end)"
    for _ = 1, 2 do
      assert.equal("nil directory", run(code, { app = app }).stdout)
    end
  end)

  it("leaves each worker its own random numbers and its own age", function()
    local numbers = {}
    for index = 1, 3 do
      local code = "io.write(math.random(2^53 | 0), ' ', require('mw.process').uptime() < 1 and 'young' or 'old')"
      numbers[index] = run(code, { app = "math.random()" }).stdout
      assert.matches("^%d+ young$", numbers[index])
    end
    assert.are_not.equal(numbers[1], numbers[2])
    assert.are_not.equal(numbers[2], numbers[3])
  end)

  it("prints to the master's output, once, and not to the worker's", function()
    folder:write("app.lua", "io.stdout:write 'half a line,'")
    folder:write("script.lua", "print 'script'")
    local master = folder:write(
      "master.lua",
      [[
        local fork = require("mw.child_process").fork
        for _ = 1, 2 do
          local child = fork("script.lua", {}, { preload = { "app" }, silent = true })
          local text = child.stdout:read()
          child:wait "close"
          io.write(text)
        end
      ]]
    )
    assert.equal("half a line,script\nscript\n", children.run(mw.process.exec_path, { master }, { cwd = folder.path }).stdout)
  end)

  it("has its finalizers run in each worker and nowhere else, and the status is told", function()
    local app = [[return setmetatable({}, { __gc = function()
      io.stdout:write 'finalized'
      io.open('pids', 'a'):write(require('luv').os_getpid(), '\n'):close()
    end })]]
    local pids = {}
    for code, status in pairs { [""] = 0, ["os.exit(3, true)"] = 3, ["error 'x'"] = 1 } do
      local result = run(code, { app = app })
      assert.equal("finalized", result.stdout)
      assert.equal(status, result.code)
      pids[#pids + 1] = result.child.pid .. "\n"
    end
    local server = find_server()
    fork_server.replace()
    eventually(function()
      return not proc.is_alive(server)
    end)
    assert.equal(table.concat(pids), folder:read "pids")
  end)
end)

describe("A fork whose modules are no good", function()
  local function refusal(modules, options)
    local result = run("", modules, options)
    assert.equal("error disconnect close", children.names(result.events))
    assert.is_nil(result.child.pid)
    return result.error
  end

  it("fails where a module is not found", function()
    local err = refusal({}, { preload = { "no_such_module" } })
    assert.equal("ERR_MODULE_NOT_FOUND", err.code)
    assert.equal("no_such_module", err.module)
    assert.matches("cannot preload 'no_such_module'", err.message, 1, true)
    assert.matches("no_such_module.lua'", err.message, 1, true)
  end)

  for what, case in pairs {
    ["raises"] = { "error 'no good'", "app.lua:1: no good" },
    ["does not compile"] = { "local x = = 1", "app.lua:1: unexpected symbol" },
    ["raises no text"] = { "error({})", "table: " },
    ["starts a timer"] = { "require('mw.timers').set_timeout(print, 1)", "no event loop" },
    ["makes a handle"] = { "require('luv').new_tcp()", "app.lua:1: new_tcp: a fork server has no event loop" },
    ["starts work of the thread pool"] = { "require('luv').fs_stat('.', print)", "fs_stat: a fork server" },
    ["waits"] = { "require('mw').sleep(1)", "no event loop" },
    ["starts a task"] = { "require('mw').go(print)", "no event loop" },
    ["starts a child"] = { "require('mw.child_process').spawn 'true'", "spawn: a fork server has no event loop" },
    ["listens to a signal"] = { "require('mw.process').on('SIGUSR1', print)", "no event loop" },
    ["listens"] = { "require('mw.net').create_server():listen(0)", "no event loop" },
    ["leaves a descriptor open"] = { "left = io.open 'app.lua'", "it has left descriptor 4 %(%S+/app.lua%) open", true },
    ["leaves one open in spite of its end"] = { "require('luv').fs_open('/dev/zero', 'r', 0)", "4 (/dev/zero) open" },
  } do
    it("fails where a module " .. what, function()
      local err = refusal { app = case[1] }
      assert.equal("ERR_PRELOAD_FAILED", err.code)
      assert.equal("app", err.module)
      assert.matches(case[2], err.message, 1, not case[3])
    end)
  end

  it("names the one of several that is to blame", function()
    folder:write("good.lua", "")
    folder:write("bad.lua", "error 'bad'")
    assert.equal("bad", refusal({}, { preload = { "good", "bad", "missing" } }).module)
  end)

  it("fails where a module ends the process", function()
    for _, code in ipairs { "os.exit(0)", "require('mw.process').kill(0 + require('mw.process').pid, 'SIGKILL')" } do
      local err = refusal { app = code }
      assert.equal("ERR_PRELOAD_FAILED", err.code)
      assert.matches("ended while it loaded", err.message, 1, true)
    end
  end)

  it("fails where a module does not come to its end", function()
    local before = fork_server.patience
    fork_server.patience = 100
    local ok, err = pcall(refusal, { app = "while true do end" })
    fork_server.patience = before
    assert(ok, err)
    assert.equal("ETIMEDOUT", err.code)
    assert.matches("preload modules in 100 ms", err.message, 1, true)
  end)

  it("succeeds once the module is mended", function()
    refusal { app = "error 'no good'" }
    assert.equal("good", run("io.write(require 'app')", { app = "return 'good'" }).stdout)
  end)

  it("is told of a folder that is not there as any other", function()
    local err = refusal({}, { cwd = folder.path .. "/missing" })
    assert.equal("ENOENT", err.code)
    assert.equal("spawn " .. mw.process.exec_path, err.syscall)
    assert.matches("can't enter the folder", err.message, 1, true)
  end)

  it("is misuse where the options can't be met, or make no sense", function()
    local script = folder:write("script.lua", "")
    misuse(function()
      child_process.fork(script, { preload = { "app" }, exec_path = "/bin/sh" })
    end, "'preload' and 'exec_path' exclude each other")
    for _, value in ipairs { "app", { "" }, { {} }, { "a\0b" }, { app = true } } do
      misuse(function()
        child_process.fork(script, {}, { preload = value })
      end, "bad option 'preload'")
    end
    misuse(function()
      child_process.spawn("true", {}, { preload = { "app" } })
    end, "unknown option 'preload'")
  end)
end)

describe("A fork server", function()
  local idle = "require('mw.process').on('message', function() end) require('mw.process').send 'up'"

  it("shows what it is, and its workers show what they are", function()
    local child = start(idle, { app = "" }, { exec_argv = { "-W" } })
    child:wait "message"
    local _, title = find_server()
    assert.equal("mwrun: fork server app", title)
    local words = { mw.process.exec_path, "-W", folder.path .. "/script.lua" }
    local text = io.open(("/proc/%d/cmdline"):format(child.pid)):read "a"
    assert.equal(table.concat(words, "\0"), text:match "^(.-)%z*$")
    assert.equal("mwrun\n", io.open(("/proc/%d/comm"):format(child.pid)):read "a")
    child:disconnect()
    assert.equal(0, children.finish(child).code)
  end)

  it("has no loop, no thread and no descriptors but its own", function()
    local child = start(idle, { app = "" })
    child:wait "message"
    local pid = find_server()
    local open = require("spec.support.leaks").descriptors(pid)
    assert.matches("^socket:", open[3])
    open[0], open[1], open[2], open[3] = nil, nil, nil, nil
    assert.same({}, open)
    assert.matches("\nThreads:%s+1\n", io.open(("/proc/%d/status"):format(pid)):read "a")
    child:disconnect()
    children.finish(child)
  end)

  it("does not matter to its workers, and another takes its place when it is killed", function()
    local child = start(idle, { app = "io.open('loads', 'a'):write('x'):close()" })
    child:wait "message"
    local pid = find_server()
    mw.process.kill(pid, "SIGKILL")
    eventually(function()
      return not proc.is_alive(pid)
    end)
    local second = start("io.write 'second'", { app = "io.open('loads', 'a'):write('x'):close()" })
    assert.equal("second", children.finish(second).stdout)
    assert.equal("xx", folder:read "loads")
    child:disconnect()
    assert.equal(0, children.finish(child).code)
  end)

  it("is replaced by one that reads the code anew, while its workers stay", function()
    local old = start(idle, { app = "return 1" })
    old:wait "message"
    local pid = find_server()
    folder:write("app.lua", "return 2")
    assert.equal("1", run("io.write(require 'app')", {}, { preload = { "app" } }).stdout)
    fork_server.replace()
    assert.equal("2", run("io.write(require 'app')", {}, { preload = { "app" } }).stdout)
    eventually(function()
      return not proc.is_alive(pid)
    end)
    assert.is_true(proc.is_alive(old.pid))
    old:disconnect()
    assert.equal(0, children.finish(old).code)
  end)

  it("serves on until the one that replaces it is ready", function()
    local old = start(idle, { app = "return 1" })
    old:wait "message"
    folder:write("app.lua", "return 2")
    local replaced, err
    fork_server.replace(function(failure)
      replaced, err = true, failure
    end)
    assert.equal("1", run("io.write(require 'app')", {}, { preload = { "app" } }).stdout)
    eventually(function()
      return replaced
    end)
    assert.is_nil(err)
    assert.equal("2", run("io.write(require 'app')", {}, { preload = { "app" } }).stdout)
    old:disconnect()
    assert.equal(0, children.finish(old).code)
  end)

  it("goes on where the one that is to replace it is no good", function()
    local before = fork_server.patience
    for code, word in pairs { ["error 'bad'"] = "bad", ["while true do end"] = "ETIMEDOUT", ["os.exit()"] = "ended" } do
      assert.equal("1", run("io.write(require 'app')", { app = "return 1" }).stdout)
      folder:write("app.lua", code)
      local err
      fork_server.patience = code:find "while" and 100 or before
      fork_server.replace(function(failure)
        err = failure
      end)
      fork_server.patience = before
      eventually(function()
        return err
      end)
      assert.matches(word, err.message, 1, true)
      assert.equal("1", run("io.write(require 'app')", {}, { preload = { "app" } }).stdout)
      fork_server.replace()
    end
  end)

  it("says why it is no good also where its end is seen first", function()
    run("", { app = "" })
    folder:write("app.lua", "error 'bad'")
    local err
    -- Its end is noted before the loop next looks at what it has said.
    mw.process.once("SIGCHLD", function()
      local before = {}
      for _, pid in ipairs(leaks.children()) do
        before[pid] = true
      end
      fork_server.replace(function(failure)
        err = failure
      end)
      for _, pid in ipairs(leaks.children()) do
        while not before[pid] and proc.is_alive(pid) do -- luacheck: ignore
        end
      end
    end)
    children.run "true"
    eventually(function()
      return err
    end)
    assert.matches("cannot preload 'app': .*bad", err.message)
    fork_server.replace()
  end)

  it("is replaced at once where there is none", function()
    local replaced
    fork_server.replace(function(err)
      replaced = err == nil
    end)
    assert.is_nil(replaced)
    eventually(function()
      return replaced
    end)
  end)

  it("does not outlive its master, nor keep it alive", function()
    local worker = folder:write("worker.lua", "")
    for _, ending in ipairs { "", "process.kill(process.pid, 'SIGKILL')" } do
      local master = folder:write(
        "master.lua",
        ([[
          local mw = require "mw"
          local process = mw.process
          mw.child_process.fork(%q, {}, { preload = {} }):on("close", function()
            io.write(io.open(("/proc/%%d/task/%%d/children"):format(process.pid, process.pid)):read "a")
            io.stdout:flush()
            %s
          end)
        ]]):format(worker, ending)
      )
      local result = children.run(mw.process.exec_path, { master })
      local pid = tonumber(result.stdout)
      assert.truthy(pid)
      assert.equal(ending == "" and 0 or nil, result.code)
      eventually(function()
        return not proc.is_alive(pid)
      end)
    end
  end)

  it("can be had by a worker too", function()
    folder:write("inner.lua", "io.write('inner ', require 'app')")
    local code = "require('mw.child_process').fork('inner.lua', {}, { preload = { 'app' } }):wait 'close'"
    assert.equal("inner 5", run(code, { app = "return 5" }).stdout)
  end)
end)
