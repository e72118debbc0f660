-- `mwrun --watch`: files change, and the workers with them.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local scratch = require "spec.support.scratch"

local process = mw.process

local service = [[
  local mw = require "mw"
  local said = require "./said"
  mw.http.create_server(function(_, res)
    res:finish(said .. " from " .. mw.process.pid)
  end):listen(tonumber(arg[1]), "127.0.0.1")
]]

local folder, port, master, stderr

before_each(function()
  folder = scratch.new()
  folder:write("app.lua", service)
  folder:write("said.lua", "return 'one'")
  local server
  server, port = raw.serve(function() end)
  raw.close(server)
end)

after_each(function()
  folder:remove()
end)

local function start(...)
  local words = { ... }
  words[#words + 1] = folder.path .. "/app.lua"
  words[#words + 1] = tostring(port)
  master = child_process.spawn(process.exec_path, words)
  stderr = children.collect(master.stderr)
  finally(function()
    master:kill "SIGTERM"
    assert.same({ 0 }, { master:wait "close" })
  end)
end

local function answer()
  local response = mw.http.get { port = port, host = "127.0.0.1", headers = { connection = "close" } }
  return response and response:body()
end

local function await(pattern)
  return eventually(function()
    return (answer() or ""):match(pattern)
  end)
end

local function await_log(text)
  eventually(function()
    return stderr():find(text, 1, true)
  end)
end

describe("mwrun --watch", function()
  it("runs the script as one worker, which changed files replace", function()
    start "--watch"
    local first = await "one from (%d+)"
    for _ = 1, 5 do
      assert.matches("one from " .. first, answer(), 1, true)
    end
    folder:write("said.lua", "return 'two'")
    assert.is_true(await "two from (%d+)" ~= first)
    assert.matches("changed: [^\n]*/said.lua\n", stderr())
  end)

  it("replaces all workers of --workers", function()
    start("--watch", "-w", "2")
    await "one"
    folder:write("said.lua", "return 'two'")
    eventually(function()
      local count = 0
      for _ = 1, 6 do
        count = count + ((answer() or ""):find "two" and 1 or 0)
      end
      return count == 6
    end)
  end)

  it("keeps the old worker where the new code is wrong, says why, and takes it once it is right", function()
    start "--watch"
    local first = await "one from (%d+)"
    folder:write("said.lua", "return = 'two'")
    await_log "the reload has failed"
    assert.matches("said.lua:1: unexpected symbol near '='", stderr(), 1, true)
    assert.matches("one from " .. first, answer(), 1, true)
    folder:write("said.lua", "return 'three'")
    await "three"
  end)

  it("waits for the right code where the first is wrong", function()
    folder:write("said.lua", "return =")
    start "--watch"
    await_log "unexpected symbol"
    folder:write("said.lua", "return 'right'")
    await "right"
  end)

  it("runs a script that is no server, and runs it again when it changes", function()
    local function write(code)
      folder:write("app.lua", "local mw = require 'mw'; " .. code)
    end
    write "io.stderr:write 'first\\n'"
    start "--watch"
    await_log "has ended: it runs again when a file changes"
    write "io.stderr:write 'second\\n' os.exit(0)"
    await_log "second"
    write "error 'third'"
    await_log "the reload has failed"
    write "mw.sleep(10) io.stderr:write 'fourth\\n' error 'wrong'"
    await_log "mwrun: it runs again when a file changes"
    for _, word in ipairs { "first", "second", "fourth" } do
      assert.equal(1, select(2, stderr():gsub("%f[^\n\0]" .. word .. "\n", "")))
    end
  end)

  it("ends a script that is no server at once, for its next run", function()
    folder:write("app.lua", "require('mw').process.on('exit', print) require('mw').timers.set_interval(print, 1000, 'on')")
    start "--watch"
    local stdout = children.collect(master.stdout)
    eventually(function()
      return stdout():find "on"
    end, 20000)
    local start_time = process.hrtime()
    folder:write("app.lua", "print 'next'")
    eventually(function()
      return stdout():find "next" and stdout():find "0\n"
    end, 20000)
    assert.is_true(process.hrtime() - start_time < 4000 * 1000000)
  end)

  it("costs nothing while nothing changes", function()
    start "--watch"
    await "one"
    local function ticks()
      local file = assert(io.open(("/proc/%d/stat"):format(master.pid)))
      local user, system = file:read("a"):match("%) " .. ("%S+ "):rep(11) .. "(%d+) (%d+)")
      file:close()
      return user + system
    end
    -- Of the start something may be left to do.
    eventually(function()
      local before = ticks()
      mw.sleep(1000)
      return ticks() - before <= 2
    end)
  end)
end)
