-- `mwrun --workers`: one script, many processes.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local http = require "mw.http"
local net = require "mw.net"
local process = require "mw.process"
local run_mwrun = require "spec.support.run_mwrun"
local scratch = require "spec.support.scratch"

-- A script that knows nothing of workers.
local service = [[
  local http, process = require "mw.http", require "mw.process"
  local server = http.create_server(function(_, res)
    res:finish(("%d %s %s"):format(process.pid, said or "-", table.concat(arg, " ")))
  end)
  server:on("error", function(err)
    io.stderr:write(tostring(err), "\n")
    process.exit(1)
  end)
  server:listen(tonumber(arg[1]), "127.0.0.1")
]]

local folder

before_each(function()
  folder = scratch.new()
end)

after_each(function()
  folder:remove()
end)

local function free_port()
  local server = net.create_server():listen(0, "127.0.0.1")
  local port = server:address().port
  server:close():wait "close"
  return tostring(port)
end

local function get(port)
  local response, err = http.get { host = "127.0.0.1", port = tonumber(port), headers = { connection = "close" } }
  return response and response:body(), err
end

local function start(options, script, args, opts)
  local words = { table.unpack(options) }
  words[#words + 1] = folder:write("service.lua", script)
  table.move(args, 1, #args, #words + 1, words)
  local master = child_process.spawn(process.exec_path, words, opts)
  return master, children.collect(master.stderr)
end

local function answers_of(port, count)
  local answers = {}
  eventually(function()
    return get(port)
  end)
  for index = 1, count do
    answers[index] = assert(get(port))
  end
  return answers
end

local function end_well(master, stderr)
  master:kill "SIGTERM"
  local code, signal = master:wait "close"
  assert.equal("", stderr())
  assert.same({ 0 }, { code, signal })
end

local function environment(value)
  local env = { MW_SUPERVISOR = value }
  for name, text in pairs(process.env) do
    env[name] = env[name] or text
  end
  return env
end

describe("mwrun --workers", function()
  for _, options in ipairs { { "-w", "3" }, { "-w3" }, { "--workers", "3" }, { "--workers=3" } } do
    it("runs a script as so many processes: " .. table.concat(options, " "), function()
      local port = free_port()
      local master, stderr = start(options, service, { port, "x", "y z" })
      local seen = {}
      eventually(function()
        local answer = get(port)
        if answer then
          assert.matches("^%d+ %- " .. port .. " x y z$", answer)
          seen[answer:match "^%d+"] = true
        end
        local count = 0
        for _ in pairs(seen) do
          count = count + 1
        end
        return count == 3
      end)
      assert.is_nil(seen[tostring(master.pid)])
      end_well(master, stderr)
    end)
  end

  it("runs other options in the workers, and nothing in the master", function()
    local port = free_port()
    local path = folder:write("said.txt", "")
    local code = ("said = 'hello' local file = io.open(%q, 'a') file:write 'x' file:close()"):format(path)
    local master, stderr = start({ "-e", code, "-w", "2" }, service, { port })
    for _, answer in ipairs(answers_of(port, 4)) do
      assert.matches("^%d+ hello " .. port .. "$", answer)
    end
    end_well(master, stderr)
    assert.equal("xx", folder:read "said.txt")
  end)

  it("starts another for one that dies", function()
    local port = free_port()
    local master, stderr = start({ "-w", "2" }, service, { port })
    local victim = tonumber(answers_of(port, 1)[1]:match "^%d+")
    process.kill(victim, "SIGKILL")
    eventually(function()
      return stderr():find("was ended by SIGKILL", 1, true)
    end)
    for _, answer in ipairs(answers_of(port, 4)) do
      assert.is_nil(answer:find("^" .. victim .. " "))
    end
    master:kill()
    assert.equal(0, (master:wait "close"))
  end)

  it("takes the supervisor's options from MW_SUPERVISOR", function()
    local port = free_port()
    local script = service .. 'require("mw.process").send "ready"'
    local opts = { env = environment '{"ready": "message", "scheduling_policy": "least"}' }
    local master, stderr = start({ "-w", "2" }, script, { port }, opts)
    assert.equal(4, #answers_of(port, 4))
    end_well(master, stderr)
  end)

  for policy, has_socket in pairs { none = true, rr = false } do
    it("spreads connections by the policy that MW_SUPERVISOR names: " .. policy, function()
      local script = [[
        local server = require("mw.net").create_server():listen(0, "127.0.0.1")
        server:on("listening", function() print("has the socket: " .. tostring(server:fileno() ~= nil)) end)
      ]]
      local opts = { env = environment(('{"scheduling_policy": %q}'):format(policy)) }
      local master, stderr = start({ "-w", "1" }, script, {}, opts)
      local stdout = children.collect(master.stdout)
      eventually(function()
        return stdout():find "\n"
      end)
      assert.equal(("has the socket: %s\n"):format(has_socket), stdout())
      end_well(master, stderr)
    end)
  end

  it("gives up where no worker can start, and says why", function()
    local taken = net.create_server():listen(0, "127.0.0.1")
    local opts = { env = environment '{"restart": {"limit": 1, "delay": 1}}' }
    local master, stderr = start({ "-w", "2" }, service, { tostring(taken:address().port) }, opts)
    assert.equal(1, (master:wait "close"))
    assert.matches("giving up: worker %d+ .-EADDRINUSE: address already in use", stderr())
    taken:close():wait "close"
  end)

  it("refuses what can't be meant with status 1", function()
    local path = folder:write("service.lua", service)
    local cases = {
      { { "-w", "0", path }, "%-%-workers: a whole number from 1 up or 'auto' expected, got '0'" },
      { { "-w", "many", path }, "expected, got 'many'" },
      { { "--workers=", path }, "expected, got ''" },
      { { "-w" }, "'%-w' needs argument" },
      { { "-w", "2" }, "need a script in a file" },
      { { "-w", "2", "-" }, "need a script in a file" },
    }
    for _, case in ipairs(cases) do
      local result = run_mwrun(case[1])
      assert.matches(case[2], result.stderr)
      assert.equal(1, result.status)
    end
    for value, pattern in pairs {
      ["nonsense"] = "MW_SUPERVISOR: a JSON object expected, got nonsense",
      ['{"reday": "message"}'] = "unknown option 'reday', did you mean 'ready'",
    } do
      local result = run_mwrun({ "-w", "2", path }, { env = environment(value) })
      assert.matches(pattern, result.stderr)
      assert.equal(1, result.status)
    end
  end)
end)
