-- scripts/jobs.lua, run as a user would run it.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local proc = require "spec.support.proc"
local process = require "mw.process"
local run_mwrun = require "spec.support.run_mwrun"
local Scratch = require "spec.support.scratch"

local script = "scripts/jobs.lua"

-- Runs the lines with these options to the end.
local function jobs(lines, ...)
  return run_mwrun({ script, ... }, { input = table.concat(lines, "\n") .. "\n" })
end

local function start(...)
  return child_process.spawn(process.exec_path, { script, ... })
end

describe("jobs.lua", function()
  local scratch

  before_each(function()
    scratch = Scratch.new()
  end)

  after_each(function()
    scratch:remove()
  end)

  -- The pid that a job has written to a file.
  local function pid_in(name)
    return eventually(function()
      return math.tointeger(tonumber((scratch:read(name) or ""):match "^(%d+)\n"))
    end)
  end

  local function is_gone(pid)
    return eventually(function()
      return not proc.is_alive(pid)
    end)
  end

  it("runs every line by a shell, except empty ones and comments", function()
    local result = jobs({ "echo one", "", "  # echo no", "echo two | tr o 0" }, "-j", "1")
    assert.equal("one\ntw0\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)

  it("does nothing, well, where there is nothing to do", function()
    local result = run_mwrun({ script }, { input = "" })
    assert.same({ 0, "", "" }, { result.status, result.stdout, result.stderr })
  end)

  it("reads the files that it is given, one after the other", function()
    local first, second = scratch:write("first", "echo 1\necho 2"), scratch:write("second", "echo 3\n")
    assert.equal("1\n2\n3\n", run_mwrun({ script, "-j1", first, second }).stdout)
  end)

  it("starts a job as soon as its line is there", function()
    local child = start()
    local output = children.collect(child.stdout)
    child.stdin:write "echo first\n"
    eventually(function()
      return output() == "first\n"
    end)
    child.stdin:finish "echo second"
    assert.equal(0, (children.closed(children.record(child)))[2])
    assert.equal("first\nsecond\n", output())
  end)

  it("shows each job's output as a whole, in the order of their ends", function()
    local gate = scratch.path .. "/gate"
    local result = jobs({
      ("mkfifo %s.1; touch %s; echo slow begins; cat %s.1; echo slow ends; echo slow errs >&2"):format(gate, gate, gate),
      ("until test -e %s; do :; done; echo fast; echo fast errs >&2; (sleep 0.05; echo go > %s.1) > /dev/null 2>&1 &"):format(
        gate,
        gate
      ),
    }, "--jobs=2")
    assert.equal("fast\nslow begins\ngo\nslow ends\n", result.stdout)
    assert.equal("fast errs\nslow errs\n", result.stderr)
  end)

  it("keeps 20 MB of a job's output whole", function()
    local result = run_mwrun({ script }, { input = "head -c 20000000 /dev/zero", max_buffer = math.huge })
    assert.equal(20000000, #result.stdout)
  end)

  it("never runs more than it was told at a time", function()
    local log = scratch.path .. "/log"
    local lines = {}
    for index = 1, 9 do
      lines[index] = ("echo + >> %s; sleep 0.02; echo - >> %s"):format(log, log)
    end
    assert.equal(0, jobs(lines, "-j", "3").status)
    local now, most = 0, 0
    for sign in scratch:read("log"):gmatch "[+-]" do
      now = now + (sign == "+" and 1 or -1)
      most = math.max(most, now)
    end
    assert.equal(3, most)
  end)

  it("gives jobs no standard input to take lines from", function()
    assert.equal("end\nnext\n", jobs({ "cat; echo end", "echo next" }, "-j1").stdout)
  end)

  it("starts nothing after a failure, and kills the trees of those that run", function()
    local file = scratch.path .. "/pid"
    local result = jobs({
      ("sh -c 'echo $$ > %s; exec sleep 60' & wait"):format(file),
      ("until test -s %s; do :; done; exit 7"):format(file),
      "echo never",
    }, "-j2")
    assert.equal(1, result.status)
    assert.equal("", result.stdout)
    assert.matches("^jobs: status 7: until [^\n]*\n$", result.stderr)
    assert.is_true(is_gone(pid_in "pid"))
  end)

  it("stops at once while it waits for more lines", function()
    local child = start()
    child.stdin:write "false\n"
    local result = children.finish(child)
    assert.equal(1, result.code)
    assert.equal("jobs: status 1: false\n", result.stderr)
  end)

  it("runs all with -k and counts the failures", function()
    local result = jobs({ "exit 3", "kill -SEGV $$", "echo on", "/no/such/program 2> /dev/null" }, "-k", "-j", "1")
    assert.equal(3, result.status)
    assert.equal("on\n", result.stdout)
    assert.equal(
      "jobs: status 3: exit 3\njobs: killed by SIGSEGV: kill -SEGV $$\n"
        .. "jobs: status 127: /no/such/program 2> /dev/null\n",
      result.stderr
    )
  end)

  it("counts no further than 101", function()
    local lines = {}
    for index = 1, 103 do
      lines[index] = "exit 1"
    end
    assert.equal(101, jobs(lines, "--keep-going").status)
  end)

  it("counts a command that the system does not take as a failed one", function()
    local result = jobs({ "a\0b", "echo " .. ("x"):rep(200000), "echo on" }, "-k")
    assert.equal(2, result.status)
    assert.equal("on\n", result.stdout)
    assert.matches("jobs: a NUL byte is in the command", result.stderr, 1, true)
    assert.matches("jobs: E2BIG: argument list too long, spawn /bin/sh: echo xxx", result.stderr, 1, true)
  end)

  it("kills the tree of a job that takes too long", function()
    local line = ("echo before; sleep 60 & echo $! > %s/pid; wait"):format(scratch.path)
    local result = jobs({ line, "echo on" }, "-k", "--timeout", "300")
    assert.equal(1, result.status)
    assert.equal(("jobs: took longer than 300 ms: %s\n"):format(line), result.stderr)
    assert.matches("before\n", result.stdout)
    assert.matches("on\n", result.stdout)
    assert.is_true(is_gone(pid_in "pid"))
  end)

  it("kills what ignores SIGTERM a little later", function()
    local line = ("trap '' TERM; echo $$ > %s/pid; sleep 60; sleep 60; sleep 60"):format(scratch.path)
    local result = jobs({ line }, "--timeout=100")
    assert.equal(1, result.status)
    assert.is_true(is_gone(pid_in "pid"))
  end)

  for name, number in pairs { SIGINT = 2, SIGTERM = 15, SIGHUP = 1 } do
    it(("kills all trees at %s and says so by its status"):format(name), function()
      local child = start("-j2", "-k")
      for index = 1, 3 do
        child.stdin:write(("sleep 60 & echo $! > %s/%d; wait\n"):format(scratch.path, index))
      end
      local first, second = pid_in "1", pid_in "2"
      child:kill(name)
      local result = children.finish(child)
      assert.same({ 128 + number, "", "" }, { result.code, result.stdout, result.stderr })
      assert.is_true(is_gone(first) and is_gone(second))
      assert.is_nil(scratch:read "3")
    end)
  end

  it("kills all trees where nobody reads its output any more", function()
    local child = start "-j2"
    child.stdin:write(("sleep 60 & echo $! > %s/pid; wait\n"):format(scratch.path))
    local pid = pid_in "pid"
    child.stdout:destroy()
    child.stdin:write "echo lost\n"
    local code = child:wait("exit", 5000)
    assert.equal(141, code)
    assert.is_true(is_gone(pid))
  end)

  it("shows on a terminal how far it is, and takes that away again", function()
    local file = scratch:write("lines", "echo one\nexit 2\n")
    local command = ("'%s' %s -k -j1 %s"):format(process.exec_path, script, file)
    local result = children.run("script", { "-qec", command, "/dev/null" }, { stdio = { "ignore" } })
    assert.equal(1, result.code)
    local clear = "\r\27[K"
    assert.equal(
      clear .. "1 running, 0 done, 0 failed" .. clear .. "one\r\n" .. clear
        .. clear .. "1 running, 1 done, 0 failed" .. clear .. "jobs: status 2: exit 2\r\n" .. clear,
      result.stdout
    )
  end)

  it("explains itself", function()
    local result = run_mwrun { script, "--help" }
    assert.equal(0, result.status)
    assert.matches("^usage: jobs.lua", result.stdout)
  end)

  for options, problem in pairs {
    [{ "-j" }] = "--jobs needs a whole number from 1 up, not nothing",
    [{ "-j0" }] = "--jobs needs a whole number from 1 up, not 0",
    [{ "--jobs=many" }] = "--jobs needs a whole number from 1 up, not many",
    [{ "--timeout", "1.5" }] = "--timeout needs a whole number from 1 up, not 1.5",
    [{ "--timeout", "auto" }] = "--timeout needs a whole number from 1 up, not auto",
    [{ "--keep-going=yes" }] = "unknown option --keep-going=yes (--help shows what there is)",
    [{ "-kj2" }] = "unknown option -kj2 (--help shows what there is)",
    [{ "/no/such/file" }] = "/no/such/file: No such file or directory",
    [{ "/" }] = "/: Is a directory",
  } do
    it(("refuses %s and runs nothing"):format(table.concat(options, " ")), function()
      local result = jobs({ "echo never" }, table.unpack(options))
      assert.same({ 255, "", "jobs: " .. problem .. "\n" }, { result.status, result.stdout, result.stderr })
    end)
  end
end)
