-- A master that runs its file again, in the same process.

local HttpLoad = require "spec.support.http_load"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local masters = require "spec.support.masters"
local mw = require "mw"
local proc = require "spec.support.proc"
local raw = require "spec.support.raw_http"
local scratch = require "spec.support.scratch"
local uv = require "luv"

local it = masters.it
local process = mw.process

local serve = [[
  mw.http.create_server(function(_, res)
    res:finish("from " .. process.pid)
  end):listen(tonumber(arg[1]), "127.0.0.1")
]]

local slow = [[
  mw.http.create_server(function(_, res)
    mw.sleep(100)
    res:finish "fine"
  end):listen(tonumber(arg[1]), "127.0.0.1")
]]

local function more_answers(load)
  local before = load.answered
  eventually(function()
    return load.answered > before + 16
  end)
end

local function link(master, target)
  os.remove(master.program)
  assert(uv.fs_symlink(target, master.program))
end

local function descriptors(pid)
  return #scratch.names(("/proc/%d/fd"):format(pid))
end

describe("A master that runs its file again", function()
  for _, policy in ipairs { "rr", "least", "sticky", "none", "reuseport" } do
    for _, keep_alive in ipairs { true, false } do
      it(("loses no request by %s, of clients that %s"):format(policy, keep_alive and "stay" or "come anew"), function()
        local master = masters.start(serve, { scheduling_policy = policy })
        local workers = master:workers()
        local load = HttpLoad.start(master.port, { clients = 8, keep_alive = keep_alive })
        for _ = 1, 3 do
          more_answers(load)
          master:run_again()
        end
        more_answers(load)
        load:stop()
        assert.same({}, load.lost)
        assert.same(workers, master:workers())
        assert.equal(4, master:count "began")
        assert.equal(0, master:count "exit", master.printed())
        master:stop()
        local said = "mwrun: the master runs anew, with 2 workers of before\n"
        assert.equal(said:rep(3), master.complaints())
      end)
    end
  end

  it("loses no request that is under way", function()
    local master = masters.start(slow)
    local load = HttpLoad.start(master.port, { clients = 8, keep_alive = false })
    master:run_again()
    master:run_again()
    more_answers(load)
    load:stop()
    assert.same({}, load.lost)
  end)

  it("still hears of the end of its workers, and replaces them", function()
    local master = masters.start(serve)
    master:run_again()
    local pid = master:workers()[1]
    process.kill(pid, "SIGKILL")
    eventually(function()
      return master.printed():find(("exit\t%d\tnil\tSIGKILL"):format(pid), 1, true)
    end)
    eventually(function()
      return #master:workers() == 2
    end)
    assert.equal(1, master:count "restart")
    assert.matches("from %d+", raw.request(master.port, "GET /"))
    master:stop()
  end)

  it("reloads the workers that it was left", function()
    local master = masters.start(serve)
    local before = master:workers()
    master:run_again()
    local load = HttpLoad.start(master.port, { clients = 4, keep_alive = true })
    master.child:kill "SIGHUP"
    master:wait_for("reload", 1)
    load:stop()
    assert.same({}, load.lost)
    for _, pid in ipairs(before) do
      assert.is_false(proc.is_alive(pid))
    end
    assert.equal(2, #master:workers())
  end)

  it("waits for the end of a reload, and is the master of the new workers", function()
    local master = masters.start(serve)
    local before = master:workers()
    local load = HttpLoad.start(master.port, { clients = 4, keep_alive = true })
    master.child:kill "SIGHUP"
    master:run_again()
    assert.equal(1, master:count "reload")
    more_answers(load)
    load:stop()
    assert.same({}, load.lost)
    for _, pid in ipairs(before) do
      assert.is_false(proc.is_alive(pid))
    end
    master:stop()
  end)

  it("takes two requests in a row", function()
    local master = masters.start(serve)
    local workers = master:workers()
    master.child:kill "SIGUSR2"
    master.child:kill "SIGUSR2"
    master:wait_for("began", 2)
    assert.matches("from %d+", raw.request(master.port, "GET /"))
    master:run_again()
    assert.same(workers, master:workers())
    master:stop()
  end)

  for _, first in ipairs { "SIGUSR2", "SIGTERM" } do
    local second = first == "SIGTERM" and "SIGUSR2" or "SIGTERM"
    it(("ends all the same at %s and %s"):format(first, second), function()
      for wait = 0, 20, 2 do
        local master = masters.start(serve .. [[
          process.on("disconnect", function() mw.timers.set_timeout(print, 100, "ends") end)
        ]])
        local workers = master:workers()
        master.child:kill(first)
        mw.sleep(wait)
        master.child:kill(second)
        assert.equal(0, children.finish(master.child).code)
        assert.equal(2, master:count "exit")
        for _, pid in ipairs(workers) do
          assert.is_false(proc.is_alive(pid))
        end
        masters.clean()
      end
    end)
  end

  it("waits for the answers of a worker that is hung, until that is replaced", function()
    local master = masters.start(
      [[
        mw.http.create_server(function(req, res)
          while req.path == "/hang" do end
          res:finish "fine"
        end):listen(tonumber(arg[1]), "127.0.0.1")
      ]],
      { heartbeat = { interval = 100, timeout = 500 } }
    )
    local before = proc.user_ticks(master:workers()[1]) + proc.user_ticks(master:workers()[2])
    local stuck = mw.go(raw.request, master.port, "GET /hang")
    eventually(function()
      return proc.user_ticks(master:workers()[1]) + proc.user_ticks(master:workers()[2]) >= before + 3
    end)
    local load = HttpLoad.start(master.port, { clients = 4, keep_alive = false })
    master:run_again()
    more_answers(load)
    load:stop()
    assert.same({}, load.lost)
    stuck:join()
    master:wait_for("exit", 1)
    master:wait_for("ready", 3)
    master:stop()
  end)

  it("starts new workers from modules that are loaded anew", function()
    local master = masters.start(serve, { preload = { "mw.http" } })
    master:run_again()
    process.kill(master.child.pid, "SIGTTIN")
    master:wait_for("ready", 3)
    assert.matches("from %d+", raw.request(master.port, "GET /"))
    assert.equal(0, master:count "exit")
    eventually(function()
      return not proc.has_zombies(master.child.pid)
    end)
    master:stop()
  end)

  it("tells no worker again what the notifier has told", function()
    local folder = scratch.new()
    local path = folder:write("value", "one")
    local master = masters.start(
      [[
        mw.supervisor.notified(function(value) print("told\t" .. value) end)
        process.on("message", print)
        process.send "ready"
      ]],
      { ready = "message", notifier = { file = path } }
    )
    master:wait_for("told", 2)
    master:run_again()
    folder:write("value", "two")
    master:wait_for("told", 4)
    assert.same({ 2, 2 }, {
      select(2, master.printed():gsub("told\tone", "")),
      select(2, master.printed():gsub("told\ttwo", "")),
    })
    master:stop()
    folder:remove()
  end)

  it("has one process that notifies, as before", function()
    local folder = scratch.new()
    local script = folder:write("source.lua", [[
      local mw = require "mw"
      mw.process.send(mw.process.pid)
      mw.timers.set_interval(function() end, 60000)
    ]])
    local master = masters.start(
      [[
        mw.supervisor.notified(function(value) print("told\t" .. value) end)
        process.on("message", print)
        process.send "ready"
      ]],
      { workers = 1, ready = "message", notifier = { script = script } }
    )
    master:wait_for("told", 1)
    master:run_again()
    master:wait_for("told", 2)
    local first, second = master.printed():match "told\t(%d+).*told\t(%d+)"
    eventually(function()
      return not proc.is_alive(math.tointeger(tonumber(first)))
    end)
    assert.is_true(proc.is_alive(math.tointeger(tonumber(second))))
    assert.equal(2, #master:workers())
    master:stop()
    folder:remove()
  end)

  it("opens no more descriptors each time", function()
    local master = masters.start(serve)
    master:run_again()
    local before = descriptors(master.child.pid)
    for _ = 1, 4 do
      master:run_again()
    end
    eventually(function()
      return descriptors(master.child.pid) == before
    end)
  end)

  it("runs what its path leads to by then", function()
    local master = masters.start(serve)
    local copy = master.folder.path .. "/next"
    assert(uv.fs_copyfile(process.exec_path, copy))
    link(master, copy)
    master:run_again()
    assert.equal(copy, uv.fs_readlink(("/proc/%d/exe"):format(master.child.pid)))
    master:stop()
  end)

  it("wants as many workers as it was told to", function()
    local master = masters.start(serve)
    master.child:kill "SIGTTIN"
    master:wait_for("ready", 3)
    master:run_again()
    assert.equal(3, #master:workers())
    master:stop()
  end)

  it("gets the rest of a line, and of a message, whose beginning the one before has read", function()
    local master = masters.start(
      [[
        local fd = require "mw.core.fd"
        local channel = process.channel._core:fileno()
        local frame = "\6\0\0\0\0\0\0\0" .. "\xa5ready"
        fd.write_all(1, "begun, ")
        process.channel:flush()
        fd.write_all(channel, frame:sub(1, 10))
        io.open(arg[0] .. ".written", "w"):close()
        mw.go(function()
          while not io.open(arg[0] .. ".go") do mw.sleep(2) end
          fd.write_all(1, "ended\n")
          fd.write_all(channel, frame:sub(11))
        end)
        process.on("message", print)
      ]],
      { workers = 1, ready = "message", heartbeat = { interval = 60000 } },
      0
    )
    eventually(function()
      return master.folder:read "worker.lua.written"
    end)
    master:run_again()
    master.folder:write("worker.lua.go", "")
    master:wait_for("ready", 1)
    eventually(function()
      return master.printed():find "begun, ended\n"
    end)
    assert.same({ 0, 2 }, { master:count "exit", master:count "began" })
  end)

  it("stops a worker that had been asked to, and is slow, when its time is over", function()
    local master = masters.start(
      [[
        process.on("disconnect", function() print "asked\t" mw.timers.set_timeout(print, 60000) end)
        process.send "ready"
      ]],
      { ready = "message", graceful_timeout = 1500 }
    )
    master.child:kill "SIGTTOU"
    master:wait_for("asked", 1)
    master:run_again()
    assert.equal(0, master:count "exit")
    master:wait_for("exit", 1)
    assert.matches("SIGKILL", master.printed(), 1, true)
    assert.equal(1, #master:workers())
  end)

  it("goes on with a path, and removes it in the end", function()
    local master = masters.start [[
      mw.http.create_server(function(_, res) res:finish "fine" end):listen { path = arg[0] .. ".sock" }
    ]]
    local path = master.folder.path .. "/worker.lua.sock"
    master:run_again()
    local response = assert(mw.http.get { socket_path = path, headers = { connection = "close" } })
    assert.equal("fine", response:body())
    master:stop()
    assert.is_nil(uv.fs_stat(path))
  end)

  it("keeps the channel to its own parent", function()
    local master = masters.start(serve, nil, nil, [[
      mw.process.on("message", function(message) mw.process.send { message, mw.process.env.MW_CHANNEL_FD or "none" } end)
    ]])
    local answers = {}
    master.child:on("message", function(message)
      answers[#answers + 1] = message
    end)
    for number = 1, 100 do
      master.child:send(number)
      if number % 40 == 0 then
        master.child:kill "SIGUSR2"
      end
    end
    master:wait_for("began", 2)
    master.child:send(101)
    eventually(function()
      return #answers == 101
    end)
    for number = 1, 101 do
      assert.same({ number, "none" }, answers[number])
    end
    master.child:disconnect()
    master:stop()
  end)

  it("goes on with a port that nobody listens at for the moment", function()
    local master = masters.start(serve, { workers = 1 })
    master:run_again()
    for _ = 1, 2 do
      local before = master:count "ready"
      local worker = master:workers()[1]
      process.kill(worker, "SIGKILL")
      eventually(function() -- what it takes until then is lost with it
        return not proc.is_alive(worker)
      end)
      assert.matches("from %d+", raw.request(master.port, "GET /"))
      master:wait_for("ready", before + 1)
    end
    master:stop()
  end)
end)

describe("A master that can't run its file again", function()
  local function refuses(master, words)
    local workers = master:workers()
    local load = HttpLoad.start(master.port, { clients = 4, keep_alive = false })
    master.child:kill "SIGUSR2"
    eventually(function()
      return master.complaints():find(words)
    end)
    more_answers(load)
    load:stop()
    assert.same({}, load.lost)
    assert.same(workers, master:workers())
    assert.equal(1, master:count "began")
  end

  local function still_works(master)
    link(master, process.exec_path)
    master:run_again()
    assert.matches("from %d+", raw.request(master.port, "GET /"))
    process.kill(master:workers()[1], "SIGKILL")
    master:wait_for("ready", 3)
    master:stop()
  end

  it("goes on, where there is none", function()
    local master = masters.start(serve)
    os.remove(master.program)
    refuses(master, "ERR_SUPERVISOR_SUCCESSION: .*ENOENT")
    still_works(master)
  end)

  it("goes on, where it is another program", function()
    local master = masters.start(serve)
    link(master, "/bin/true")
    refuses(master, "ERR_SUPERVISOR_SUCCESSION: .*does not know our state")
    still_works(master)
  end)

  it("goes on with all as it was, where it fails in the last step", function()
    local master = masters.start(serve)
    local trap = master.folder:write("trap", "#!/bin/sh\nrm -f " .. master.program .. "\nprintf '\\n1'\n", 493)
    link(master, trap)
    local before = descriptors(master.child.pid)
    refuses(master, "ERR_SUPERVISOR_SUCCESSION: .*ENOENT")
    eventually(function()
      return descriptors(master.child.pid) == before
    end)
    still_works(master)
  end)

  it("goes on, where others are in its cluster", function()
    local master = masters.start(serve, nil, nil, "mw.cluster.fork()")
    refuses(master, "workers that are not supervised")
    process.kill(master:workers()[3], "SIGKILL")
    master:stop()
  end)
end)

describe("What a master has left", function()
  -- Runs a script on a state, as after an exec.
  local function run(state, code)
    local folder = scratch.new()
    local path = folder:write("state", mw.msgpack.encode(state))
    local env = { MW_SUCCESSION = "3" }
    for name, value in pairs(process.env) do
      env[name] = value
    end
    local file = assert(uv.fs_open(path, "r", 0))
    local child = mw.child_process.spawn(
      process.exec_path,
      { folder:write("script.lua", 'local mw = require "mw" ' .. code) },
      { env = env, stdio = { "ignore", "pipe", "pipe", file } }
    )
    uv.fs_close(file)
    local result = require("spec.support.children").finish(child)
    folder:remove()
    return result
  end

  it("is nothing where it is no state", function()
    for _, value in ipairs { "some text", 7, {} } do
      local result = run(value, "print(mw.process.env.MW_SUCCESSION)")
      assert.same({ "nil\n", "", 0 }, { result.stdout, result.stderr, result.code })
    end
  end)

  it("is let go where its version is another", function()
    local result = run({ version = 999, pids = {}, fds = {} }, "print(mw.process.env.MW_SUCCESSION)")
    assert.equal("nil\n", result.stdout)
    assert.matches("has version 999, this one knows 1: the workers of before are let go", result.stderr, 1, true)
    assert.equal(0, result.code)
  end)
end)
