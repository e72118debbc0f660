-- Workers that serve a port together, as their clients see them.

local HttpLoad = require "spec.support.http_load"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local supervised = require "spec.support.supervised"

local it = supervised.it
local process = mw.process

local answer_at_once = [[
  function handle(req, res)
    res:finish "fine"
  end
]]

local serve = [[
  %s
  mw.http.create_server(handle):listen(%d, "127.0.0.1")
]]

-- A port that is free now.
local function free_port()
  local server, port = raw.serve(function() end)
  raw.close(server)
  return port
end

local function start(handler, opts)
  local all = { workers = 2, ready = "listening" }
  for key, value in pairs(opts or {}) do
    all[key] = value
  end
  local port = free_port()
  local run = supervised.start(serve:format(handler, port), all)
  run:all_ready()
  return run, port
end

local function get(port, path)
  return raw.request(port, ("GET %s"):format(path or "/"))
end

describe("A reload under load", function()
  for name, case in pairs {
    ["from clients that keep their connections"] = { handler = answer_at_once, keep_alive = true },
    ["from clients with a connection for each request"] = { handler = answer_at_once, keep_alive = false },
    ["of slow answers"] = {
      handler = "function handle(req, res) mw.sleep(100) res:finish 'fine' end",
      keep_alive = true,
    },
  } do
    it("loses no request, " .. name, function()
      local run, port = start(case.handler)
      local load = HttpLoad.start(port, { clients = 8, keep_alive = case.keep_alive })
      for _ = 1, 3 do
        assert.is_true(run.supervisor:reload())
        local before = load.answered
        eventually(function()
          return load.answered > before + 16
        end)
      end
      load:stop()
      assert.same({}, load.lost)
      assert.is_true(load.answered > 48)
      assert.equal(4, run.supervisor:status().generation)
    end)
  end
end)

describe("Scaling under load", function()
  it("loses no request", function()
    local run, port = start(answer_at_once)
    local load = HttpLoad.start(port, { clients = 8, keep_alive = true })
    for _, count in ipairs { 4, 1, 3 } do
      assert.is_true(run.supervisor:scale(count))
    end
    load:stop()
    assert.same({}, load.lost)
  end)
end)

describe("A worker", function()
  it("is given no connection before it says that it is ready", function()
    local port = free_port()
    local code = serve:format(answer_at_once, port)
      .. [[
        process.on("message", function() end)
        mw.go(function()
          while not io.open(arg[0] .. ".go") do mw.sleep(5) end
          process.send "ready"
        end)
      ]]
    local run = supervised.start(code)
    run:event "online"
    local answer
    local client = mw.go(function()
      eventually(function()
        local socket = mw.net.connect { port = port, host = "127.0.0.1" }
        local ok = socket:wait("connect", 1000)
        socket:destroy()
        return ok
      end)
      answer = get(port)
    end)
    eventually(function()
      return run.supervisor:workers()[1].uptime > 300
    end)
    assert.is_nil(answer)
    assert.equal(0, run:count "ready")
    io.open(supervised.path "app.lua.go", "w"):close()
    client:join()
    assert.matches("fine", answer, 1, true)
  end)

  it("that has an error nobody catches answers what is under way, and is replaced before it ends", function()
    local run, port = start(
      [[
        function handle(req, res)
          if req.path == "/bad" then
            mw.timers.set_timeout(error, 10, "a bad timer")
            while not io.open(arg[0] .. ".go") do mw.sleep(5) end
          end
          res:finish("from " .. process.pid)
        end
      ]],
      { workers = 1, graceful_timeout = 20000 }
    )
    local first = run.supervisor:workers()[1]
    local slow = mw.go(get, port, "/bad")
    run:event("ready", 2)
    assert.equal(0, run:count "exit")
    local fresh = get(port)
    assert.matches("from " .. run:event("ready", 2).pid, fresh, 1, true)
    io.open(supervised.path "app.lua.go", "w"):close()
    assert.matches("200 OK.*from " .. first.pid, slow:join())
    local worker, code = run:event "exit"
    assert.same({ first.id, 1 }, { worker.id, code })
    assert.matches("leaves: .*a bad timer", supervised.written())
    assert.equal(1, run.supervisor:status().restarts)
  end)

  it("that gets SIGTERM itself answers what is under way, and is replaced before it ends", function()
    local run, port = start(
      [[
        function handle(_, res)
          print "asked"
          while not io.open(arg[0] .. ".go") do mw.sleep(5) end
          res:finish "fine"
        end
      ]],
      { workers = 1, graceful_timeout = 20000 }
    )
    local first = run.supervisor:workers()[1]
    local slow = mw.go(get, port)
    eventually(function()
      return supervised.written():find "asked"
    end)
    process.kill(first.pid, "SIGTERM")
    run:event("ready", 2)
    assert.equal(0, run:count "exit")
    io.open(supervised.path "app.lua.go", "w"):close()
    assert.matches("200 OK.*fine", slow:join())
    local worker, code = run:event "exit"
    assert.same({ first.id, 0 }, { worker.id, code })
  end)

  for how, code in pairs {
    ["gets SIGTERM itself"] = "process.kill(process.pid, 'SIGTERM')",
    ["has an error that nobody catches"] = "error 'a bad timer'",
  } do
    it("that is the only one and " .. how .. " loses no request, and nobody is refused", function()
      local run, port = start(answer_at_once .. [[
        if not io.open(arg[0] .. ".over") then
          mw.timers.set_timeout(function()
            io.open(arg[0] .. ".over", "w"):close()
            ]] .. code .. [[

          end, 200)
        end
      ]], { workers = 1 })
      local load = HttpLoad.start(port, { clients = 4, keep_alive = false })
      run:event("ready", 2)
      local before = load.answered
      eventually(function()
        return load.answered > before + 16
      end)
      load:stop()
      assert.same({}, load.lost)
    end)
  end

  it("that is killed leaves clients waiting, also while its successors fail to start", function()
    local run, port = start([[
      if io.open(arg[0] .. ".broken") then os.remove(arg[0] .. ".broken") os.exit(1) end
    ]] .. answer_at_once, { workers = 1 })
    io.open(supervised.path "app.lua.broken", "w"):close()
    local load = HttpLoad.start(port, { clients = 4, keep_alive = false })
    process.kill(run.supervisor:workers()[1].pid, "SIGKILL")
    run:event("exit", 2)
    run:event("ready", 2)
    load:stop()
    for _, what in ipairs(load.lost) do
      assert.not_matches("^connect", what)
    end
  end)

  it("is replaced after so many requests, and none is lost", function()
    local run, port = start(answer_at_once, {
      workers = 2,
      max_requests = 200,
      heartbeat = { interval = 50, timeout = 10000 },
    })
    local load = HttpLoad.start(port, { clients = 4, keep_alive = true })
    run:event("exit", 4)
    load:stop()
    assert.same({}, load.lost)
    assert.equal(0, run.supervisor:status().restarts)
  end)

  it("that is killed takes only its own requests with it", function()
    local run, port = start(answer_at_once, { restart = { limit = 100 } })
    local load = HttpLoad.start(port, { clients = 4, keep_alive = true })
    for round = 1, 5 do
      local before = load.answered
      eventually(function()
        return load.answered > before + 20
      end)
      local victim = run.supervisor:workers()[round % 2 + 1]
      process.kill(victim.pid, "SIGKILL")
      run:event("ready", 2 + round)
    end
    load:stop()
    -- Each client has one request under way at a time.
    assert.is_true(#load.lost <= 5 * 4, #load.lost)
    assert.equal(2, #run:all_ready())
  end)
end)
