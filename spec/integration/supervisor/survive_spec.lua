-- Workers that survive their master, and the master that takes them over.

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
  mw.http.create_server(function(req, res)
    if req.path == "/slow" then print "asked\t" mw.sleep(300) end
    if req.path == "/fail" then mw.timers.set_immediate(error, "nobody catches this") end
    if req.path == "/print" then print("said\t" .. process.pid) process.stdout:write "written\t\n" end
    if req.path == "/send" then process.send "sent" end
    res:finish("from " .. process.pid)
  end):listen(tonumber(arg[1]), "127.0.0.1")
]]

local function start(code, opts, ...)
  local all = { survive = true }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  return masters.start(code or serve, all, ...)
end

local function more_answers(load, count)
  local before = load.answered
  eventually(function()
    return load.answered > before + (count or 16)
  end)
end

local function pids_of(told)
  local pids = {}
  for pid in told:gmatch "%d+:%d+:(%d+):ready" do
    pids[#pids + 1] = math.tointeger(tonumber(pid))
  end
  table.sort(pids)
  return pids
end

-- Until so many workers are ready.
local function ready_workers(master, count)
  return eventually(function()
    local pids = pids_of(master:told_workers())
    return #pids == count and pids
  end, 10000)
end

local function wait_until_alone(pids)
  -- An orphan has the master's own stream in place of its pipe.
  for _, pid in ipairs(pids) do
    eventually(function()
      return uv.fs_readlink(("/proc/%d/fd/1"):format(pid)) == uv.fs_readlink(("/proc/%d/fd/5"):format(pid))
    end)
  end
end

local function ended(pid)
  return function()
    return not proc.is_alive(pid)
  end
end

local function state_path(master)
  return master.folder.path .. "/.worker.lua.state"
end

local function state_of(master)
  return mw.json.decode(assert(master.folder:read ".worker.lua.state/workers.json"))
end

local function write_state(master, text)
  master.folder:write(".worker.lua.state/workers.json", text)
end

describe("Workers that survive their master", function()
  for _, policy in ipairs { "rr", "least", "sticky", "none", "reuseport" } do
    it("serve on, and are taken over by the next one: " .. policy, function()
      local master = start(serve, { scheduling_policy = policy })
      local load = HttpLoad.start(master.port, { clients = 8, keep_alive = false })
      more_answers(load)
      local workers = master:kill()
      more_answers(load, 200)
      master:begin()
      assert.same(workers, ready_workers(master, 2))
      more_answers(load, 200)
      load:stop()
      -- What the master had in its hands is lost with it, and no more.
      assert.is_true(#load.lost <= (policy == "none" and 0 or 8), table.concat(load.lost, "\n"))
      assert.equal(0, master:count "exit")
      master:stop()
      for _, pid in ipairs(workers) do
        assert.is_false(proc.is_alive(pid))
      end
      assert.is_nil(uv.fs_stat(state_path(master)))
    end)
  end

  it("keep their connections meanwhile", function()
    local master = start(nil, { workers = 1 })
    local load = HttpLoad.start(master.port, { clients = 2, keep_alive = true })
    more_answers(load)
    wait_until_alone(master:kill())
    more_answers(load)
    master:begin()
    ready_workers(master, 1)
    more_answers(load)
    load:stop()
    assert.same({}, load.lost)
  end)

  it("are reloaded, replaced and scaled by the next master as by the first", function()
    local master = start()
    local workers = master:kill()
    master:begin()
    ready_workers(master, 2)
    process.kill(workers[1], "SIGKILL")
    master:wait_for("ready", 1)
    assert.matches(("exit\t%d\tnil\tnil"):format(workers[1]), master.printed(), 1, true)
    local load = HttpLoad.start(master.port, { clients = 4, keep_alive = true })
    master.child:kill "SIGHUP"
    master:wait_for("reload", 1)
    load:stop()
    assert.same({}, load.lost)
    assert.is_false(proc.is_alive(workers[2]))
    master.child:kill "SIGTTIN"
    ready_workers(master, 3)
    assert.equal(3, #master:workers())
    master:stop()
  end)

  it("survive one master after the other", function()
    local master = start()
    local workers = master:kill()
    for _ = 1, 2 do
      master:begin()
      assert.same(workers, ready_workers(master, 2))
      master.child:kill "SIGKILL"
      master.child:wait "exit"
      assert.matches("from %d+", raw.request(master.port, "GET /"))
    end
    master:begin()
    assert.same(workers, ready_workers(master, 2))
    master:stop()
  end)

  it("are still known after the next master has run its file again", function()
    local master = start()
    local workers = master:kill()
    master:begin()
    ready_workers(master, 2)
    master:run_again()
    assert.same(workers, ready_workers(master, 2))
    process.kill(workers[2], "SIGKILL")
    master:wait_for("ready", 1)
    assert.matches("from %d+", raw.request(master.port, "GET /"))
    master:stop()
    assert.is_false(proc.is_alive(workers[1]))
  end)

  it("are replaced where they have died meanwhile, by others with ids of their own", function()
    local master = start(nil, { workers = 3 })
    local last = state_of(master).last_id
    local workers = master:kill()
    process.kill(workers[1], "SIGKILL")
    eventually(ended(workers[1]))
    master:begin()
    local now = ready_workers(master, 3)
    assert.same({ workers[2], workers[3] }, { now[1], now[2] })
    assert.equal(1, #master:workers())
    assert.same({ 3, 4 }, { last, state_of(master).last_id })
    master:stop()
  end)

  it("have their time to end when they are asked to, and no more where their master is killed then", function()
    local master = start([[
      process.on("disconnect", function()
        mw.timers.set_timeout(print, 50, "ends\t")
        mw.timers.set_timeout(print, 60000)
      end)
      process.send "ready"
    ]], { workers = 1, ready = "message", graceful_timeout = 500 })
    local workers = master:workers()
    master.child:kill "SIGTERM"
    master:wait_for("ends", 1)
    assert.same(workers, master:kill())
    eventually(ended(workers[1]))
  end)

  it("write where their master wrote, and then where the next one does", function()
    local master = start(nil, { workers = 1, output = "prefix" })
    local printed = master.printed
    wait_until_alone(master:kill())
    raw.request(master.port, "GET /print")
    eventually(function()
      return printed():find "\nsaid\t%d+\nwritten\t"
    end)
    master:begin()
    ready_workers(master, 1)
    raw.request(master.port, "GET /print")
    eventually(function()
      return master.printed():find "%[1%] said\t%d+\n%[1%] written\t"
    end)
    master:stop()
  end)

  it("send messages to the next master, and are told of data", function()
    local folder = scratch.new()
    local path = folder:write("value", "one")
    local master = start(
      "mw.supervisor.notified(function(value) print('told\t' .. value) end)" .. serve,
      { workers = 1, notifier = { file = path } },
      nil,
      "mw.cluster.on('message', function(_, message) print(message .. '\\t') end) mw.process.on('message', print)"
    )
    wait_until_alone(master:kill())
    master:begin()
    ready_workers(master, 1)
    raw.request(master.port, "GET /send")
    master:wait_for("sent", 1)
    folder:write("value", "two")
    eventually(function()
      return master.printed():find "told\ttwo"
    end)
    master.child:disconnect()
    master:stop()
    folder:remove()
  end)

  it("may have no port, and go on to send messages, which are lost meanwhile", function()
    local master = start(
      [[
        process.send "ready"
        local count = 0
        mw.timers.set_interval(function()
          count = count + 1
          process.send(count)
          if not process.connected then print "alone\t" end
        end, 5):unref()
      ]],
      { workers = 1, ready = "message" },
      nil,
      "mw.cluster.on('message', function(_, message) print(message .. '\\t') end) mw.process.on('message', print)"
    )
    local workers = master:kill()
    master:wait_for("alone", 10)
    master:begin()
    assert.same(workers, ready_workers(master, 1))
    master:wait_for("%d+", 5)
    master.child:disconnect()
    master:stop()
    assert.is_false(proc.is_alive(workers[1]))
  end)

  it("have a path and UDP sockets that stay what they were", function()
    local master = start([[
      local server = mw.http.create_server(function(_, res) res:finish "fine" end)
      server:listen { path = arg[0] .. ".sock" }
      local socket = mw.dgram.create_socket("udp4", function(_, from) socket:send("here", from.port, from.address) end)
      socket:bind(tonumber(arg[1]), "127.0.0.1")
    ]], { workers = 1, graceful_timeout = 1000 })
    local path = master.folder.path .. "/worker.lua.sock"
    local function ask()
      local response = assert(mw.http.get { socket_path = path, headers = { connection = "close" } })
      return response:body()
    end
    local workers = master:kill()
    wait_until_alone(workers)
    assert.equal("fine", ask())
    master:begin()
    assert.same(workers, ready_workers(master, 1))
    assert.equal("fine", ask())
    master.child:kill "SIGHUP"
    master:wait_for("reload", 1)
    assert.matches("reload\ttrue", master.printed())
    assert.equal("fine", ask())
    master:stop()
    assert.is_nil(uv.fs_stat(path))
  end)

  it("answer what is under way and end at SIGTERM, and after an error", function()
    local master = start()
    local workers = master:kill()
    wait_until_alone(workers)
    local slow = {}
    for number = 1, 4 do
      slow[number] = mw.go(raw.request, master.port, "GET /slow")
    end
    master:wait_for("asked", 4)
    process.kill(workers[1], "SIGTERM")
    eventually(ended(workers[1]))
    slow[5] = mw.go(raw.request, master.port, "GET /slow")
    master:wait_for("asked", 5)
    raw.request(master.port, "GET /fail")
    for number = 1, 5 do
      assert.matches("from %d+", slow[number]:join())
    end
    eventually(ended(workers[2]))
  end)
end)

describe("The next master", function()
  it("is refused as long as there is one", function()
    local master = start()
    local second = mw.child_process.spawn(master.program, master:words(), { stdio = { "ignore", "pipe", "pipe" } })
    local result = children.finish(second)
    assert.equal(1, result.code)
    assert.matches("ERR_SUPERVISOR_STATE: .*%.worker%.lua%.state: another master has this state", result.stderr)
    assert.equal(2, #master:workers())
    master:stop()
  end)

  it("ends a worker that does not come, and starts another in its place", function()
    local master = start(nil, { graceful_timeout = 100 })
    local workers = master:kill()
    process.kill(workers[1], "SIGSTOP")
    master:begin()
    eventually(ended(workers[1]))
    local now = ready_workers(master, 2)
    assert.equal(workers[2], now[1])
    assert.matches("has not come: it is ended", master.complaints(), 1, true)
    master:stop()
  end)

  it("leaves alone who has the pid of a worker by now", function()
    local master = start(nil, { workers = 1 })
    local workers = master:kill()
    process.kill(workers[1], "SIGKILL")
    eventually(ended(workers[1]))
    local other = mw.child_process.spawn("sleep", { "60" })
    other:wait "spawn"
    local state = state_of(master)
    state.workers[1].pid = other.pid
    write_state(master, mw.json.encode(state))
    master:begin()
    master:wait_for("ready", 1)
    assert.equal(1, #ready_workers(master, 1))
    master:stop()
    assert.is_true(proc.is_alive(other.pid))
    other:kill()
    other:wait "close"
  end)

  for what, spoil in pairs {
    ["it is no state of a master"] = function()
      return "{ not"
    end,
    ["it is damaged"] = function(state)
      state.workers[1].pid = "all"
      return mw.json.encode(state)
    end,
    ["the machine was started anew since"] = function(state)
      state.boot_id = "another"
      return mw.json.encode(state)
    end,
    ["it is of another script, /other.lua"] = function(state)
      state.script = "/other.lua"
      return mw.json.encode(state)
    end,
  } do
    it("starts afresh, and lets the others end, where " .. what, function()
      local master = start(nil, { workers = 1, restart = { delay = 100 } })
      local workers = master:kill()
      write_state(master, spoil(state_of(master)))
      master:begin()
      master:wait_for("ready", 1)
      eventually(ended(workers[1]))
      assert.matches("what the master before has left is of no use: " .. what, master.complaints(), 1, true)
      assert.matches("from %d+", raw.request(master.port, "GET /"))
      master:stop()
    end)
  end

  it("refuses a folder where others may write", function()
    local folder = scratch.new()
    assert(uv.fs_chmod(folder.path, tonumber("777", 8)))
    local script = folder:write("worker.lua", "")
    local code = ("require('mw').supervisor.start { script = %q, survive = %q }"):format(script, folder.path)
    local result = children.lua(code)
    assert.equal(1, result.code)
    assert.matches("ERR_SUPERVISOR_STATE: .*others may write there", result.stderr)
    folder:remove()
  end)
end)
