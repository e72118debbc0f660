-- The model master and worker, and the examples, do what they say.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local http = require "mw.http"
local mw = require "mw"
local net = require "mw.net"

local function run(script, ...)
  local child = child_process.spawn(mw.process.exec_path, { script, ... })
  return child, children.collect(child.stdout)
end

local function start(name, ...)
  return run("scripts/examples/" .. name, ...)
end

-- The answer of a web server, whose connection ends with it.
local function get(port, path, opts)
  local asked = { host = "127.0.0.1", port = port, path = path, headers = { connection = "close" } }
  for key, value in pairs(opts or {}) do
    asked[key] = value
  end
  local response = assert(http.get(asked))
  return assert(response:body())
end

local function count(text, pattern)
  return select(2, text:gsub(pattern, ""))
end

local function stop(child, signal)
  child:kill(signal)
  return child:wait "close"
end

-- The port that an example prints.
local function port_of(stdout)
  eventually(function()
    return stdout():find ":%d+\n"
  end)
  return tonumber(stdout():match ":(%d+)\n")
end

local function connect(port)
  local socket = net.connect(port, "127.0.0.1")
  assert(socket:wait "connect")
  return socket
end

-- The same, of one that says it for each worker.
local function port_of_line(stdout)
  return tonumber(stdout():match "port (%d+)\n")
end

describe("The model master", function()
  local function start_master(workers)
    local master, stdout = run("scripts/master.lua", "0", tostring(workers))
    eventually(function()
      return count(stdout(), "serves") == workers
    end)
    return master, stdout, tonumber(stdout():match ":(%d+)/")
  end

  it("lets its workers answer in turn, replaces who dies, and ends well", function()
    local master, stdout, port = start_master(3)
    local answers = {}
    for index = 1, 6 do
      answers[index] = tonumber(get(port, "/"):match "pid (%d+)")
    end
    assert.same({ answers[1], answers[2], answers[3] }, { answers[4], answers[5], answers[6] })
    assert.not_equal(answers[1], answers[2])
    mw.process.kill(answers[1], "SIGKILL")
    eventually(function()
      return count(stdout(), "serves") == 4
    end)
    assert.equal(0, (stop(master)))
    assert.matches("SIGKILL: another takes its place", stdout())
  end)

  it("says so where the port is taken, and ends", function()
    local taken = net.create_server():listen(0, "127.0.0.1")
    local master, stdout = run("scripts/master.lua", tostring(taken:address().port), "2")
    local stderr = children.collect(master.stderr)
    assert.equal(1, (master:wait "close"))
    assert.matches("EADDRINUSE: address already in use, listen 127.0.0.1:%d+\nname another port", stderr())
    assert.matches("no worker could start", stdout())
    taken:close()
  end)
end)

describe("The example", function()
  it("ping throws a message to and fro", function()
    local child, stdout = start("ping.lua", "2")
    assert.equal(0, (child:wait "close"))
    assert.matches("^pong 1 from %d+\npong 2 from %d+\nthe child has ended with 0\n$", stdout())
  end)

  it("sum answers others while it works something out", function()
    local child, stdout = start("sum.lua", "0")
    local port = port_of(stdout)
    local sum
    local asker = mw.go(function()
      sum = get(port, "/sum?to=100000000")
    end)
    assert.matches("^%d%d:%d%d:%d%d\n$", get(port, "/time"))
    assert.is_nil(sum)
    asker:join()
    assert.equal("5000000050000000\n", sum)
    assert.equal("say /sum?to=NUMBER\n", get(port, "/sum"))
    stop(child)
  end)

  it("shared_port lets whom the policy names answer", function()
    local child, stdout = start("shared_port.lua", "rr", "0")
    eventually(function()
      return count(stdout(), "worker %d, pid") == 4
    end)
    local seen = {}
    for _ = 1, 4 do
      seen[get(port_of_line(stdout), "/")] = true
    end
    local number = 0
    for _ in pairs(seen) do
      number = number + 1
    end
    assert.equal(4, number)
    assert.equal(0, (stop(child, "SIGINT")))
  end)

  it("random_port gives all workers the same two ports", function()
    local child, stdout = start("random_port.lua", "3")
    eventually(function()
      return count(stdout(), "listens on") == 6
    end)
    local answers = {}
    for port in stdout():gmatch ":(%d+)\n" do
      answers[get(tonumber(port), "/"):match "^%a+"] = port
    end
    assert.is_truthy(answers.public and answers.private)
    assert.not_equal(answers.public, answers.private)
    assert.equal(0, (stop(child, "SIGINT")))
  end)

  it("sticky knows its visitors again", function()
    local child, stdout = start("sticky.lua", "0")
    eventually(function()
      return stdout():find "http://"
    end)
    local port = tonumber(stdout():match ":(%d+)/")
    local first = get(port, "/")
    assert.matches("^127.0.0.1: visit 1, worker %d\n$", first)
    assert.equal((first:gsub("visit 1", "visit 2")), get(port, "/"))
    assert.matches("^127.0.0.2: visit 1,", get(port, "/", { local_address = "127.0.0.2" }))
    assert.equal(0, (stop(child, "SIGINT")))
  end)

  it("hand_over lets its workers answer in turn", function()
    local child, stdout = start("hand_over.lua", "0", "2")
    local port = port_of(stdout)
    local answers = {}
    for index = 1, 4 do
      local socket = connect(port)
      answers[index] = socket:read()
      assert.matches("^hello from %d+\n$", answers[index])
      socket:destroy()
    end
    assert.equal(answers[1], answers[3])
    assert.equal(answers[2], answers[4])
    assert.not_equal(answers[1], answers[2])
    child:kill()
    child:wait "close"
  end)
end)
