local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"
local uv = require "luv"

local spawn = child_process.spawn
local process = mw.process

local folder

before_each(function()
  folder = scratch.new()
end)

after_each(function()
  folder:remove()
end)

-- The environment as a child has it, sorted.
local function environment(env)
  local result = children.run("/usr/bin/env", { "-0" }, { env = env })
  assert.equal(0, result.code)
  local list = {}
  for entry in result.stdout:gmatch "([^\0]*)\0" do
    list[#list + 1] = entry
  end
  table.sort(list)
  return list
end

local function executable(name, answer)
  return folder:write(name, ("#!/bin/sh\necho %s\n"):format(answer), tonumber("755", 8))
end

describe("The environment of a child", function()
  -- CP-ENV-01
  it("is the parent's as it is now, where none is given", function()
    process.env.MWRUN_SPEC = "first"
    assert.equal("first\n", children.sh("echo $MWRUN_SPEC").stdout)
    process.env.MWRUN_SPEC = "second"
    assert.equal("second\n", children.sh("echo $MWRUN_SPEC").stdout)
    assert(uv.os_setenv("MWRUN_SPEC", "by luv"))
    assert.equal("by luv\n", children.sh("echo $MWRUN_SPEC").stdout)
    process.env.MWRUN_SPEC = nil
    assert.equal("none\n", children.sh("echo ${MWRUN_SPEC-none}").stdout)
  end)

  -- CP-ENV-02
  it("is nothing but what is given", function()
    process.env.MWRUN_SPEC = "not for the child"
    assert.same({ "ONE=1", "TWO=2" }, environment { ONE = "1", TWO = "2" })
    assert.same({}, environment {})
    process.env.MWRUN_SPEC = nil
  end)

  -- CP-ENV-03
  it("has texts as they are, empty ones too, and numbers and booleans as text", function()
    local given = {
      EMPTY = "",
      SPACES = "  a b  ",
      LINES = "a\nb",
      EQUALS = "a=b=c",
      BYTES = "\xff\xfe\x01",
      lower = "l",
      LOWER = "L",
      INTEGER = 42,
      FLOAT = 1.5,
      YES = true,
      NO = false,
      ABSENT = nil,
    }
    assert.same({
      "BYTES=\xff\xfe\x01",
      "EMPTY=",
      "EQUALS=a=b=c",
      "FLOAT=1.5",
      "INTEGER=42",
      "LINES=a\nb",
      "LOWER=L",
      "NO=false",
      "SPACES=  a b  ",
      "YES=true",
      "lower=l",
    }, environment(given))
  end)

  -- CP-ENV-03
  it("takes no value that is no text, and no name that could be two", function()
    for _, env in ipairs { { A = {} }, { A = print }, { A = mw.null }, { ["A=B"] = "1" }, { [""] = "1" }, { "1" } } do
      local ok, message = pcall(spawn, "true", {}, { env = env })
      assert.is_false(ok)
      assert.matches("bad option 'env'", message, 1, true)
    end
  end)

  -- CP-ENV-03
  it("may be as large as the kernel takes", function()
    local value = ("x"):rep(100000)
    local list = environment { A = value, B = value }
    assert.is_true(list[1] == "A=" .. value and list[2] == "B=" .. value)
    local result = children.run("true", {}, { env = { A = ("x"):rep(1 << 20) } })
    assert.equal("E2BIG", result.error.code)
  end)
end)

describe("The program of a child", function()
  -- CP-ENV-04
  it("is looked up in the PATH of the environment given", function()
    executable("mwrun-spec-tool", "found")
    local result = children.run("mwrun-spec-tool", {}, { env = { PATH = "/nowhere:" .. folder.path .. ":/usr/bin" } })
    assert.equal("found\n", result.stdout)
    result = children.run("mwrun-spec-tool", {}, { env = { PATH = "/nowhere" } })
    assert.equal("ENOENT", result.error.code)
    assert.equal("ENOENT", children.run("mwrun-spec-tool").error.code)
  end)

  -- CP-ENV-04
  it("is not looked up in the parent's PATH where another is given", function()
    executable("mwrun-spec-tool", "found")
    local path = process.env.PATH
    process.env.PATH = folder.path .. ":" .. path
    local with_parents = children.run "mwrun-spec-tool"
    local with_another = children.run("mwrun-spec-tool", {}, { env = { PATH = "/usr/bin:/bin" } })
    local with_default = children.run("mwrun-spec-tool", {}, { env = {} })
    process.env.PATH = path
    assert.equal("found\n", with_parents.stdout)
    assert.equal("ENOENT", with_another.error.code)
    assert.equal("ENOENT", with_default.error.code)
  end)

  -- CP-ENV-04
  it("is looked up in a default PATH where the environment has none", function()
    local result = children.run("sh", { "-c", "echo here" }, { env = { A = "1" } })
    assert.equal("here\n", result.stdout)
  end)

  -- CP-ENV-04
  it("is the first that can be run, and one with a slash is not looked up", function()
    uv.fs_mkdir(folder.path .. "/a", tonumber("755", 8))
    uv.fs_mkdir(folder.path .. "/b", tonumber("755", 8))
    uv.fs_mkdir(folder.path .. "/c", tonumber("755", 8))
    folder:write("a/tool", "#!/bin/sh\necho a\n", tonumber("644", 8))
    executable("b/tool", "b")
    executable("c/tool", "c")
    local path = ("%s/a:%s/b:%s/c"):format(folder.path, folder.path, folder.path)
    assert.equal("b\n", children.run("tool", {}, { env = { PATH = path } }).stdout)
    assert.equal("c\n", children.run("./tool", {}, { env = { PATH = path }, cwd = folder.path .. "/c" }).stdout)
    local refused = children.run("tool", {}, { env = { PATH = folder.path .. "/a:/nowhere" } })
    assert.equal("EACCES", refused.error.code)
  end)

  -- CP-ENV-06
  it("gets the name it was called by as argv[0], or the one given", function()
    local function argv0(file, args, opts)
      local text = children.run(file, args, opts).stdout
      return (text:match "^[^\0]*")
    end
    assert.equal("cat", argv0("cat", { "/proc/self/cmdline" }))
    assert.equal("/bin/cat", argv0("/bin/cat", { "/proc/self/cmdline" }))
    assert.equal("any name", argv0("cat", { "/proc/self/cmdline" }, { argv0 = "any name" }))
    assert.equal("", argv0("cat", { "/proc/self/cmdline" }, { argv0 = "" }))
  end)

  -- CP-ENV-06
  it("finds its own binary whatever argv[0] is", function()
    local code = [[
      local process = require "mw.process"
      print(process.exec_path)
      local file = io.open "/proc/self/cmdline"
      print((file:read "a":match "^[^\0]*"))
      print(require("mw.child_process").spawn(process.exec_path, { "-e", "os.exit(7)" }):wait "exit")
    ]]
    local result = children.lua(code, { argv0 = "/no/such/binary" })
    assert.equal(process.exec_path .. "\n/no/such/binary\n7\tnil\n", result.stdout)
  end)
end)

describe("The folder of a child", function()
  -- CP-ENV-05
  it("is the one given, and the parent stays in its own", function()
    local before = process.cwd()
    local child = spawn("pwd", {}, { cwd = folder.path })
    assert.equal(before, process.cwd())
    assert.equal(uv.fs_realpath(folder.path) .. "\n", children.finish(child).stdout)
    assert.equal("/\n", children.run("pwd", {}, { cwd = "/" }).stdout)
    assert.equal(before, process.cwd())
  end)

  -- CP-ENV-05
  it("is the parent's where none or an empty one is given", function()
    local own = uv.fs_realpath "." .. "\n"
    assert.equal(own, children.sh("pwd -P").stdout)
    assert.equal(own, children.sh("pwd -P", { cwd = "" }).stdout)
  end)
end)

describe("detached", function()
  -- CP-ENV-08
  it("makes a child the leader of a session and of a process group", function()
    local own = proc.stat(process.pid)
    local child = spawn("cat", {}, { detached = true })
    local stat = proc.stat(child.pid)
    assert.equal(child.pid, stat.session)
    assert.equal(child.pid, stat.group)
    child:kill()
    children.finish(child)

    child = spawn "cat"
    stat = proc.stat(child.pid)
    assert.equal(own.session, stat.session)
    assert.equal(own.group, stat.group)
    child:kill()
    children.finish(child)
  end)

  -- CP-ENV-08
  it("lets a signal to the group reach all that descends from the child", function()
    local child = spawn("/bin/sh", { "-c", "sleep 100 & sleep 100 & echo $!; wait" }, { detached = true })
    local text = children.collect(child.stdout)
    eventually(function()
      return text():find "\n"
    end)
    local grandchild = tonumber(text())
    assert.is_true(proc.is_alive(grandchild))
    assert.is_true(process.kill(-child.pid, "SIGTERM"))
    local code, signal = child:wait "close"
    assert.is_nil(code)
    assert.equal("SIGTERM", signal)
    eventually(function()
      return not proc.is_alive(grandchild)
    end)
  end)

  -- CP-ENV-09
  it("and unref() let a child outlive a parent that ends or is killed", function()
    for _, how in ipairs { "", "require('mw.process').kill(require('mw.process').pid, 'SIGKILL')" } do
      local result = children.lua(([[
        local child = require("mw.child_process").spawn("sleep", { "100" }, { detached = true, stdio = "ignore" })
        child:unref()
        print(child.pid)
        io.stdout:flush()
        %s
      ]]):format(how))
      local pid = tonumber(result.stdout)
      local gone, err = process.kill(result.child.pid, 0)
      assert.is_nil(gone)
      assert.equal("ESRCH", err.code)
      assert.is_true(process.kill(pid, 0))
      assert.is_true(proc.is_alive(pid))
      assert.equal(pid, proc.stat(pid).session)
      process.kill(pid, "SIGKILL")
      eventually(function()
        return not proc.is_alive(pid)
      end)
    end
  end)
end)

describe("shell", function()
  -- CP-ENV-10
  it("runs the command by /bin/sh", function()
    local result = children.run("echo $0", {}, { shell = true })
    assert.equal("/bin/sh\n", result.stdout)
    assert.equal(3, children.run("exit 3", {}, { shell = true }).code)
  end)

  -- CP-ENV-10
  it("gives exit code 127 for an unknown command, and no error", function()
    local result = children.run("mwrun-no-such-command", {}, { shell = true })
    assert.equal("spawn exit close", children.names(result.events))
    assert.equal(127, result.code)
    assert.matches("mwrun-no-such-command", result.stderr, 1, true)
  end)

  -- CP-ENV-10
  it("is ignored by fork: arguments arrive as they are", function()
    local script = folder:write("script.lua", "print(table.unpack(arg))")
    local child = child_process.fork(script, { "$foo", "a b", "`id`" }, { shell = true, silent = true, env = {
      foo = "bar",
      MWRUN_LUA_DIR = os.getenv "MWRUN_LUA_DIR",
    } })
    local result = children.finish(child)
    assert.equal("$foo\ta b\t`id`\n", result.stdout)
    assert.equal(process.exec_path, child.spawn_file)
  end)

  -- CP-ENV-11
  it("gets the arguments behind the command with spaces between, as they are", function()
    local result = children.run("printf '<%s>'", { "a b", "'c d'", "$VALUE", "| tr a-z A-Z" }, {
      shell = true,
      env = { VALUE = "one two", PATH = os.getenv "PATH" },
    })
    assert.equal("<A><B><C D><ONE><TWO>", result.stdout)
    assert.equal("ok\n", children.run("echo ok | cat", {}, { shell = true }).stdout)
    assert.equal("$VALUE\n", children.run("echo", { "$VALUE" }).stdout)
  end)

  -- CP-ENV-11
  it("gets the environment of the child", function()
    local result = children.run("echo $BAZ", {}, { shell = true, env = { BAZ = "buzz" } })
    assert.equal("buzz\n", result.stdout)
  end)

  -- CP-ENV-12
  it("may be any program that takes -c", function()
    local path = folder:write("shell", '#!/bin/sh\necho "$#|$1|$2"\n', tonumber("755", 8))
    assert.equal("2|-c|some command\n", children.run("some", { "command" }, { shell = path }).stdout)
    executable("mwrun-spec-shell", "found")
    local env = { PATH = folder.path .. ":" .. os.getenv "PATH" }
    assert.equal("found\n", children.run("some", {}, { shell = "mwrun-spec-shell", env = env }).stdout)
  end)

  -- CP-ENV-12
  it("that is not there is the one that the error names", function()
    local result = children.run("echo", { "hello" }, { shell = "/no/such/shell" })
    assert.equal("error close", children.names(result.events))
    assert.equal("ENOENT", result.error.code)
    assert.equal("spawn /no/such/shell", result.error.syscall)
    assert.equal("/no/such/shell", result.error.path)
    assert.same({ "-c", "echo hello" }, result.error.spawn_args)
  end)
end)
