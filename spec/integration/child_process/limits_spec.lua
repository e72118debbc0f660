local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local is_sanitized = require "spec.support.is_sanitized"
local leaks = require "spec.support.leaks"
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

local function own_status()
  local file = assert(io.open "/proc/self/status")
  local text = file:read "a"
  file:close()
  return text
end

local function has_capability(number)
  return tonumber(proc.status_field(own_status(), "CapEff"), 16) >> number & 1 == 1
end

local is_root = process.getuid() == 0 and has_capability(7)
local may_raise_limits = has_capability(24)

local nobody = 65534

-- A piece of Lua that runs as an ordinary user, also where we are root.
local function as_ordinary_user(code)
  return ([[
    local child_process = require "mw.child_process"
    local eventually = require "spec.support.eventually"
    local process = require "mw.process"
    assert(child_process.spawn("true"):wait "exit" == 0)
    if process.getuid() == 0 then
      assert(process.setgid(65534))
      assert(process.setuid(65534))
    end
  ]] .. code)
end

local function wait_for_end(pid)
  eventually(function()
    return not proc.is_alive(pid)
  end)
end

local function limits_of(limits)
  local result = children.run("cat", { "/proc/self/limits" }, { limits = limits })
  assert.is_nil(result.error)
  assert.equal(0, result.code)
  return result.stdout
end

describe("limits", function()
  local titles = {
    as = "Max address space",
    core = "Max core file size",
    cpu = "Max cpu time",
    data = "Max data size",
    fsize = "Max file size",
    locks = "Max file locks",
    memlock = "Max locked memory",
    msgqueue = "Max msgqueue size",
    nice = "Max nice priority",
    nofile = "Max open files",
    nproc = "Max processes",
    rss = "Max resident set",
    rtprio = "Max realtime priority",
    rttime = "Max realtime timeout",
    sigpending = "Max pending signals",
    stack = "Max stack size",
  }

  -- Within what an ordinary user may ask for; these two he may not have at all.
  local soft = {
    as = 1 << 30,
    data = 1 << 28,
    fsize = 1 << 20,
    memlock = 4096,
    msgqueue = 4096,
    nice = may_raise_limits and 3 or 0,
    nproc = 500,
    rtprio = may_raise_limits and 3 or 0,
    stack = 1 << 20,
  }

  it("sets each limit, soft and hard one alike", function()
    for name, title in pairs(titles) do
      local value = soft[name] or 40
      local low, high = proc.limit(limits_of { [name] = value }, title)
      assert.same({ name, tostring(value), tostring(value) }, { name, low, high })
    end
  end)

  it("sets each limit, soft and hard one apart, all at once", function()
    local limits, expected, found = {}, {}, {}
    for name in pairs(titles) do
      local value = soft[name] or 40
      local more = value == 0 and 0 or value + 1
      limits[name] = { value, more }
      expected[name] = { tostring(value), tostring(more) }
    end
    local text = limits_of(limits)
    for name, title in pairs(titles) do
      found[name] = { proc.limit(text, title) }
    end
    assert.same(expected, found)
  end)

  it("takes infinity for none, whole floats and 0", function()
    local text = limits_of { fsize = { 0, math.huge }, core = 0, cpu = 60.0 }
    assert.same({ "0", "unlimited" }, { proc.limit(text, titles.fsize) })
    assert.same({ "0", "0" }, { proc.limit(text, titles.core) })
    assert.same({ "60", "60" }, { proc.limit(text, titles.cpu) })
  end)

  it("leaves the parent's alone, and those not named", function()
    local file = assert(io.open "/proc/self/limits")
    local before = file:read "a"
    file:close()
    local text = limits_of { core = 0, fsize = 12345 }
    file = assert(io.open "/proc/self/limits")
    assert.equal(before, file:read "a")
    file:close()
    for name, title in pairs(titles) do
      if name ~= "core" and name ~= "fsize" then
        assert.same({ proc.limit(before, title) }, { proc.limit(text, title) })
      end
    end
  end)

  it("holds for what the child does", function()
    local result = children.sh("echo 12345 >" .. folder.path .. "/file", { limits = { fsize = 3, core = 0 } })
    assert.equal("SIGXFSZ", result.signal)
    assert.equal("123", folder:read "file")
  end)

  it("that may not be raised is the error EPERM", function()
    local result = children.lua(as_ordinary_user [[
      local child = child_process.spawn("true", {}, { limits = { nofile = { 10, 1 << 40 } } })
      local _, err = child:wait "exit"
      print(err.code, err.syscall, child.pid)
    ]])
    assert.equal("", result.stderr)
    assert.equal("EPERM\tspawn true\tnil\n", result.stdout)
  end)

  it("refuses names that there are not, and values that are no limit", function()
    for _, limits in ipairs {
      { files = 3 }, { NOFILE = 3 }, { 3 }, { nofile = -1 }, { nofile = 1.5 }, { nofile = 0 / 0 }, { nofile = "3" },
      { nofile = { 3 } }, { nofile = { 4, 3 } }, { nofile = { 1, 2, 3 } }, { nofile = {} }, { no_new_privs = 1 },
    } do
      local ok, message = pcall(spawn, "true", {}, { limits = limits })
      assert.is_false(ok)
      assert.matches("bad option 'limits'", message, 1, true)
    end
  end)

  it("may forbid new privileges", function()
    local function flag(limits)
      local result = children.run("cat", { "/proc/self/status" }, { limits = limits })
      return proc.status_field(result.stdout, "NoNewPrivs")
    end
    local own = proc.status_field(own_status(), "NoNewPrivs")
    assert.equal("1", flag { no_new_privs = true })
    assert.equal("1", flag { no_new_privs = true, core = 0 })
    assert.equal(own, flag { no_new_privs = false })
    assert.equal(own, flag(nil))
  end)
end)

describe("umask", function()
  it("is the child's mask, and the parent keeps its own", function()
    local before = process.umask()
    local command = "umask; : >" .. folder.path .. "/file"
    for text, mask in pairs { ["0027"] = 23, ["0000"] = 0, ["0777"] = 511 } do
      assert.equal(text .. "\n", children.sh(command, { umask = mask }).stdout)
      local mode = assert(uv.fs_stat(folder.path .. "/file")).mode & 511
      assert.equal(tonumber("666", 8) & ~mask, mode)
      os.remove(folder.path .. "/file")
    end
    assert.equal(before, process.umask())
    assert.equal(("%04o\n"):format(before), children.sh("umask").stdout)
  end)
end)

describe("process_group", function()
  it("makes a new group, or joins the one named", function()
    local own = proc.stat(process.pid)
    local leader = spawn("cat", {}, { process_group = true })
    local member = spawn("cat", {}, { process_group = leader.pid })
    assert.equal(leader.pid, proc.stat(leader.pid).group)
    assert.equal(leader.pid, proc.stat(member.pid).group)
    assert.equal(own.session, proc.stat(leader.pid).session)
    assert.equal(own.session, proc.stat(member.pid).session)
    assert.is_true(process.kill(-leader.pid, "SIGTERM"))
    local events = { children.record(leader), children.record(member) }
    assert.same({ "close", n = 2, nil, "SIGTERM" }, children.closed(events[1]))
    assert.same({ "close", n = 2, nil, "SIGTERM" }, children.closed(events[2]))
  end)

  it("goes with detached where it is a new one", function()
    local child = spawn("cat", {}, { process_group = true, detached = true })
    assert.equal(child.pid, proc.stat(child.pid).group)
    assert.equal(child.pid, proc.stat(child.pid).session)
    child.stdin:finish()
    children.finish(child)
  end)

  it("that can't be joined is the error EPERM", function()
    for _, opts in ipairs { { process_group = 0x7ffffffe }, { process_group = process.pid, detached = true } } do
      local result = children.run("true", {}, opts)
      assert.equal("EPERM", result.error.code)
      assert.matches("process group", tostring(result.error), 1, true)
      assert.equal("error close", children.names(result.events))
    end
  end)
end)

describe("die_with_parent", function()
  local code = [[
    local process = require "mw.process"
    local child = require("mw.child_process").spawn("sleep", { "100" }, { stdio = "ignore", detached = %s, die_with_parent = %s })
    child:unref()
    print(child.pid)
    io.stdout:flush()
    %s
  ]]

  it("ends the child with its parent, however that ends", function()
    for _, detached in ipairs { "true", "false" } do
      for _, how in ipairs { "", "os.exit(3)", "process.kill(process.pid, 'SIGKILL')", "error 'gone'" } do
        local pid = tonumber(children.lua(code:format(detached, "true", how)).stdout)
        wait_for_end(pid)
      end
    end
  end)

  it("is not so where nobody asks for it", function()
    for _, value in ipairs { "nil", "false" } do
      local pid = tonumber(children.lua(code:format("true", value, "process.kill(process.pid, 'SIGKILL')")).stdout)
      assert.is_true(proc.is_alive(pid))
      process.kill(pid, "SIGKILL")
      wait_for_end(pid)
    end
  end)

  it("holds for a child of another user too", function()
    if not is_root then
      pending "only root can start another user's child"
      return
    end
    local child = spawn("cat", {}, { die_with_parent = true, uid = nobody, gid = nobody })
    assert.equal(0, process.getuid())
    child.stdin:finish()
    assert.equal(0, children.finish(child).code)
    local more = "true, uid = 65534, gid = 65534"
    local pid = tonumber(children.lua(code:format("false", more, "process.kill(process.pid, 'SIGKILL')")).stdout)
    wait_for_end(pid)
  end)
end)

describe("uid and gid", function()
  it("make root's child another user's, without root's groups", function()
    if not is_root then
      pending "only root can become another user"
      return
    end
    local opts = { uid = nobody, gid = nobody, cwd = "/" }
    assert.equal("65534 65534 65534\n", children.sh("echo $(id -u) $(id -g) $(id -G)", opts).stdout)
    local status = children.run("cat", { "/proc/self/status" }, opts).stdout
    assert.equal("65534\t65534\t65534\t65534", proc.status_field(status, "Uid"))
    assert.equal("65534\t65534\t65534\t65534", proc.status_field(status, "Gid"))
    assert.equal(0, tonumber(proc.status_field(status, "CapEff"), 16))
    assert.equal("0 65534 65534\n", children.sh("echo $(id -u) $(id -g) $(id -G)", { gid = nobody, cwd = "/" }).stdout)
    assert.equal(0, process.getuid())
    assert.equal(0, process.getgid())
  end)

  it("that an ordinary user may not become are the error EPERM", function()
    local result = children.lua(as_ordinary_user [[
      for _, opts in ipairs { { uid = 0 }, { gid = 0 }, { uid = 0, gid = 0 } } do
        local child = child_process.spawn("true", {}, opts)
        local _, err = child:wait "exit"
        print(err.code, err.syscall, child.pid)
      end
      local child = child_process.spawn("true", {}, { uid = process.getuid(), gid = process.getgid() })
      print(child:wait "exit")
    ]])
    assert.equal("", result.stderr)
    assert.equal(("EPERM\tspawn true\tnil\n"):rep(3) .. "0\tnil\n", result.stdout)
  end)

  it("that may have no more processes are the error EAGAIN", function()
    if not is_root then
      return pending "only root can become another user"
    end
    local result = children.lua(
      as_ordinary_user [[
        local child = child_process.spawn "true"
        local _, err = child:wait "exit"
        print(err.code, err.syscall, child.pid)
        print(child.stdout:read())
        -- A leak checker would start another process at the exit.
        io.stdout:flush()
        process.kill(process.pid, "SIGKILL")
      ]],
      { limits = { nproc = 1 } }
    )
    assert.equal("", result.stderr)
    assert.equal("EAGAIN\tspawn true\tnil\nnil\n", result.stdout)
  end)
end)

describe("kill_tree", function()
  local marker

  before_each(function()
    marker = ("MWRUN_SPEC_TREE=%d.%d"):format(process.pid, process.hrtime())
  end)

  local function start(command, opts)
    opts = opts or {}
    opts.env = { PATH = os.getenv "PATH", MWRUN_SPEC_TREE = marker:match "=(.*)" }
    opts.stdio = "ignore"
    return spawn("/bin/sh", { "-c", command }, opts)
  end

  local function wait_for(count)
    eventually(function()
      return #proc.with_environment(marker) >= count
    end)
  end

  local function ends(child, signal)
    assert.same({ "close", n = 2, nil, signal }, children.closed(children.record(child)))
    eventually(function()
      return #proc.with_environment(marker) == 0
    end)
  end

  it("reaches all that descends from the child", function()
    local child = start "sh -c 'sleep 100 & sh -c \"sleep 100 & wait\" & wait' & sleep 100 & wait"
    wait_for(6)
    assert.is_true(child:kill_tree "SIGKILL")
    assert.is_true(child.killed)
    ends(child, "SIGKILL")
    assert.is_false(child:kill_tree "SIGKILL")
  end)

  it("sends SIGTERM where nothing else is said, and by it ends those that were stopped too", function()
    local child = start "sleep 100 & kill -STOP $!; wait"
    wait_for(2)
    assert.is_true(child:kill_tree())
    ends(child, "SIGTERM")
  end)

  it("lets none escape that forks meanwhile", function()
    -- Some hundred forks a second, all with living parents.
    local forker = "while :; do for i in 1 2 3; do /bin/sh -c \"sleep 0.01; :\" & done; wait; done"
    for _ = 1, 5 do
      local child = start(("sh -c '%s' & sh -c '%s' & sh -c '%s' & wait"):format(forker, forker, forker))
      wait_for(10)
      assert.is_true(child:kill_tree "SIGKILL")
      ends(child, "SIGKILL")
    end
  end)

  it("finds one that runs away by forking and ending, in a group of its own", function()
    for _, opts in ipairs { { process_group = true }, { detached = true } } do
      local child = start("run() { ( sleep 0.005; run ) & }; run; run; run; exec sleep 100", opts)
      wait_for(3)
      assert.is_true(child:kill_tree "SIGKILL")
      ends(child, "SIGKILL")
    end
  end)

  it("touches no sibling", function()
    local child, sibling = start "sleep 100 & wait", spawn "cat"
    wait_for(2)
    child:kill_tree "SIGKILL"
    ends(child, "SIGKILL")
    sibling.stdin:write "here"
    assert.equal("here", sibling.stdout:read())
    sibling.stdin:finish()
    sibling:wait "close"
  end)

  it("raises for a signal that there is not", function()
    local child = spawn "cat"
    for _, signal in ipairs { "SIGFOO", 0, 500, -1, 1.5 } do
      assert.has_error(function()
        child:kill_tree(signal)
      end)
    end
    child.stdin:finish()
    child:wait "close"
  end)
end)

describe("A program that can't be run", function()
  local function code_of(file, args, opts)
    local result = children.run(file, args, opts)
    assert.equal("error close", children.names(result.events))
    assert.is_nil(result.child.pid)
    return result.error.code
  end

  it("is an error that says why", function()
    local plain = folder:write("plain", "x", tonumber("644", 8))
    assert.equal("EACCES", code_of(folder.path))
    assert.equal("EACCES", code_of(plain))
    assert.equal("ENOTDIR", code_of(plain .. "/x"))
    assert.equal("ENAMETOOLONG", code_of("/" .. ("x"):rep(300)))
    assert.equal("ENOENT", code_of(("x"):rep(100)))
    assert(uv.fs_symlink(folder.path .. "/loop", folder.path .. "/loop"))
    assert.equal("ELOOP", code_of(folder.path .. "/loop"))
    folder:write("interpreted", "#!/no/such/interpreter\n", tonumber("755", 8))
    assert.equal("ENOENT", code_of(folder.path .. "/interpreted"))
  end)

  it("for its folder's sake is an error too", function()
    local plain = folder:write("plain", "x")
    assert.equal("ENOENT", code_of("true", {}, { cwd = folder.path .. "/none" }))
    assert.equal("ENOTDIR", code_of("true", {}, { cwd = plain }))
  end)

  it("since its name is none raises", function()
    for _, file in ipairs { "", "tr\0ue", "true\0" } do
      assert.has_error(function()
        spawn(file)
      end)
    end
    assert.has_error(function()
      spawn("true", { "a\0b" })
    end)
    for name, value in pairs { cwd = "/\0", argv0 = "a\0", shell = "/bin/sh\0", env = { A = "\0" } } do
      assert.has_error(function()
        spawn("true", {}, { [name] = value })
      end)
    end
    assert.same({}, leaks.children())
  end)
end)

describe("Many children", function()
  it("one after the other leave nothing behind", function()
    local function run(count)
      for _ = 1, count do
        local child = spawn("true", {}, {})
        assert.equal(0, child:wait "close")
      end
      collectgarbage()
      collectgarbage()
      return { descriptors = leaks.descriptor_count(), handles = leaks.handle_count(), children = leaks.children() },
        collectgarbage "count"
    end
    local before, used_before = run(100)
    local after, used_after = run(1000)
    assert.same(before, after)
    assert.is_true(used_after - used_before < 100, ("%.0f KiB of Lua memory more"):format(used_after - used_before))
  end)

  it("that can't be started leave nothing behind", function()
    local before = leaks.descriptor_count()
    for _ = 1, 200 do
      local child = spawn("/no/such/program", {}, { stdio = { "pipe", "pipe", "pipe", "pipe", "ipc" } })
      child:on("error", function() end)
      children.closed(children.record(child))
    end
    assert.equal(before, leaks.descriptor_count())
    assert.same({}, leaks.children())
  end)

  it("at once all end", function()
    local ended = 0
    for index = 1, 100 do
      local child = spawn("/bin/sh", { "-c", "exit $0", tostring(index) })
      child:on("close", function(code)
        ended = ended + (code == index and 1 or 0)
      end)
    end
    eventually(function()
      return ended == 100
    end)
  end)
end)

describe("A child that", function()
  it("prints 1 GB leaves the parent as small as it was", function()
    local child = spawn("head", { "-c", tostring(1 << 30), "/dev/zero" })
    local before, most, size, chunks = process.memory_usage().rss, 0, 0, 0
    child.stdout:on("data", function(chunk)
      size, chunks = size + #chunk, chunks + 1
      if chunks % 256 == 0 then
        most = math.max(most, process.memory_usage().rss)
      end
    end)
    assert.equal(0, child:wait("close", 60000))
    assert.equal(1 << 30, size)
    local allowed = is_sanitized() and 512 << 20 or 32 << 20
    assert.is_true(most - before < allowed, ("%d bytes more"):format(most - before))
  end)

  it("prints without end waits where nobody reads, or reads no more", function()
    local unread, paused = spawn("cat", { "/dev/zero" }), spawn("cat", { "/dev/zero" })
    paused.stdout:once("data", function()
      paused.stdout:pause()
    end)
    local function is_asleep(child)
      return proc.stat(child.pid).state == "S"
    end
    eventually(function()
      return is_asleep(unread) and is_asleep(paused) and paused.stdout:is_paused()
    end)
    assert.is_true(unread.stdout:readable_length() <= 2 * 65536)
    assert.is_true(paused.stdout:readable_length() <= 2 * 65536)
    for _, child in ipairs { unread, paused } do
      local events = children.record(child)
      child:kill()
      assert.same({ "close", n = 2, nil, "SIGTERM" }, children.closed(events))
    end
  end)

  it("never ends is ended by its timeout", function()
    local started = process.hrtime()
    local result = children.run("sleep", { "100" }, { timeout = 50 })
    assert.is_true(process.hrtime() - started >= 50 * 1000000)
    assert.equal("SIGTERM", result.signal)
    assert.is_true(result.child.killed)
    result = children.sh("trap '' TERM; while :; do sleep 0.01; done", { timeout = 50, kill_signal = "SIGKILL" })
    assert.equal("SIGKILL", result.signal)
    local child = spawn("yes", {}, { timeout = 50 })
    local size = 0
    child.stdout:on("data", function(chunk)
      size = size + #chunk
    end)
    child:wait "close"
    assert.equal("SIGTERM", child.signal_code)
    assert.is_true(size > 0)
  end)

  it("ends in time is left alone by its timeout", function()
    local child = spawn("true", {}, { timeout = 60000 })
    assert.equal(0, child:wait "close")
    assert.is_false(child.killed)
  end)

  it("opens its standard streams by name gets them", function()
    local child = spawn("/bin/sh", { "-c", [[
      cat /dev/stdin >/dev/stdout
      echo two >/dev/stdout
      echo three >/proc/self/fd/1
      echo four >/dev/stderr
    ]] })
    child.stdin:finish "one\n"
    local result = children.finish(child)
    assert.equal("one\ntwo\nthree\n", result.stdout)
    assert.equal("four\n", result.stderr)
  end)
end)

describe("The signals of a child", function()
  local function masks(result)
    local text = result.stdout
    local found = {}
    for _, name in ipairs { "SigIgn", "SigBlk" } do
      found[name] = tonumber(proc.status_field(text, name), 16)
    end
    return found
  end

  it("are all at their default, and none is blocked", function()
    assert.same({ SigIgn = 0, SigBlk = 0 }, masks(children.run("cat", { "/proc/self/status" })))
    assert.equal("SIGPIPE", children.sh("kill -PIPE $$").signal)
  end)

  it("are so although the parent ignores some and listens to others", function()
    local code = [[
      require("mw.process").on("SIGUSR1", print)
      require("mw.child_process").spawn("cat", { "/proc/self/status" }, { stdio = "inherit" }):wait "close"
    ]]
    local result = children.run("/bin/sh", { "-c", [[trap "" HUP PIPE USR2 CHLD; exec "$0" -e "$1"]], process.exec_path, code })
    assert.equal(0, result.code)
    assert.same({ SigIgn = 0, SigBlk = 0 }, masks(result))
  end)

  it("end one that writes to a pipe which the parent has closed", function()
    local child = spawn "yes"
    assert.is_string(child.stdout:read())
    child.stdout:destroy()
    local code, signal = child:wait "close"
    assert.is_nil(code)
    assert.equal("SIGPIPE", signal)
  end)
end)

describe("What a child inherits", function()
  local O_NONBLOCK = tonumber("4000", 8)

  local function is_blocking(number, pid)
    local file = assert(io.open(("/proc/%s/fdinfo/%d"):format(pid or "self", number)))
    local flags = tonumber(file:read "a":match "flags:%s*(%d+)", 8)
    file:close()
    return flags & O_NONBLOCK == 0
  end

  -- How descriptors stand in a child that has these stdio.
  local function blocking_in_child(stdio, ...)
    local child = spawn("sleep", { "100" }, { stdio = stdio })
    local found = {}
    for index, number in ipairs { ... } do
      found[index] = is_blocking(number, child.pid)
    end
    child:kill()
    children.closed(children.record(child))
    return found
  end

  local function close(...)
    for _, handle in ipairs { ... } do
      handle:close()
    end
  end

  it("is blocking: pipes, numbers, streams and luv's handles", function()
    assert.same({ true, true, true, true }, blocking_in_child({ nil, nil, nil, "pipe" }, 0, 1, 2, 3))
    local pair = assert(uv.pipe({ nonblock = true }, { nonblock = true }))
    assert.is_false(is_blocking(pair.write))
    assert.same({ true, true }, blocking_in_child({ "pipe", pair.write, pair.write }, 1, 2))
    uv.fs_close(pair.read)
    uv.fs_close(pair.write)

    local reader = spawn "cat"
    assert.is_false(is_blocking(reader.stdin:fileno()))
    assert.same({ true, true, true }, blocking_in_child({ "pipe", reader.stdin, "pipe", reader.stdin }, 1, 2, 3))
    reader.stdin:destroy()
    children.closed(children.record(reader))
  end)

  it("stays blocking in one child when another with the same has ended", function()
    local reader = spawn "cat"
    local text = children.collect(reader.stdout)
    local first = spawn("echo", { "first" }, { stdio = { "ignore", reader.stdin } })
    local second = spawn("cat", {}, { stdio = { "pipe", reader.stdin } })
    assert.equal(0, first:wait "close")
    assert.is_true(is_blocking(1, second.pid))
    second.stdin:finish(("x"):rep(1 << 20))
    assert.equal(0, second:wait "close")
    assert.is_false(is_blocking(reader.stdin:fileno()))
    reader.stdin:finish "parent"
    reader:wait "close"
    assert.is_true(text() == "first\n" .. ("x"):rep(1 << 20) .. "parent")
  end)

  it("does not stop a server or a UDP socket that the parent goes on with", function()
    local server, client, datagrams = uv.new_tcp(), uv.new_tcp(), uv.new_udp()
    local accepted, received = 0, 0
    assert(server:bind("127.0.0.1", 0))
    assert(server:listen(5, function()
      local connection = uv.new_tcp()
      assert(server:accept(connection))
      connection:close()
      accepted = accepted + 1
    end))
    assert(datagrams:bind("127.0.0.1", 0))
    assert(datagrams:recv_start(function(_, data)
      received = received + (data and 1 or 0)
    end))
    local child = spawn("cat", {}, { stdio = { "pipe", "pipe", "pipe", server, datagrams } })
    assert.is_false(is_blocking(3, child.pid))
    assert.is_false(is_blocking(4, child.pid))
    client:connect("127.0.0.1", server:getsockname().port, function() end)
    assert(datagrams:try_send("to itself", "127.0.0.1", datagrams:getsockname().port))
    eventually(function()
      return accepted == 1 and received == 1
    end)
    child.stdin:finish()
    child:wait "close"
    close(server, client, datagrams)
  end)
end)

describe("A lent stream", function()
  it("goes on in the parent after resume()", function()
    local writer = spawn "cat"
    local text = children.collect(writer.stdout)
    local borrower = spawn("/bin/sh", { "-c", "read -r line; echo \"borrower: $line\"" }, {
      stdio = { writer.stdout, "pipe", "inherit" },
    })
    writer.stdin:write "one\n"
    assert.equal("borrower: one\n", children.finish(borrower).stdout)
    writer.stdin:write "two\n"
    eventually(function()
      return proc.stat(writer.pid).state == "S"
    end)
    assert.equal("", text())
    writer.stdout:resume()
    eventually(function()
      return text() == "two\n"
    end)
    writer.stdin:finish(("x"):rep(1 << 20))
    assert.equal(0, writer:wait "close")
    assert.is_true(text() == "two\n" .. ("x"):rep(1 << 20))
  end)

  it("can be read by the parent, too", function()
    local writer = spawn "cat"
    local borrower = spawn("/bin/sh", { "-c", "read -r line" }, { stdio = { writer.stdout } })
    writer.stdin:finish "one\ntwo\nthree\n"
    assert.equal(0, children.finish(borrower).code)
    assert.equal("two\nthree\n", writer.stdout:read())
    assert.is_nil((writer.stdout:read()))
    assert.equal(0, writer:wait "close")
  end)

  it("can be lent again to the next child, who gets what the first has left", function()
    local writer = spawn("/bin/sh", { "-c", "echo one; echo two; echo three" })
    local writer_events = children.record(writer)
    local first = spawn("/bin/sh", { "-c", "read -r line; echo $line" }, { stdio = { writer.stdout } })
    assert.equal("one\n", children.finish(first).stdout)
    children.closed(writer_events)
    local second = spawn("/bin/sh", { "-c", "read -r line; echo $line" }, { stdio = { writer.stdout } })
    assert.equal("two\n", children.finish(second).stdout)
    assert.equal("three\n", writer.stdout:read())
    assert.is_nil((writer.stdout:read()))
  end)

  it("is closed when both children have ended and all was read", function()
    local before = leaks.descriptor_count()
    for round = 1, 20 do
      local writer = spawn("echo", { tostring(round) })
      local events = children.record(writer)
      local borrower = spawn("cat", {}, { stdio = { writer.stdout } })
      assert.equal(("%d\n"):format(round), children.finish(borrower).stdout)
      children.closed(events)
    end
    assert.equal(before, leaks.descriptor_count())
  end)

  it("of luv stops being read", function()
    local pipe = assert(uv.pipe({ nonblock = true }, { nonblock = true }))
    local reading, writing = uv.new_pipe(false), uv.new_pipe(false)
    assert(reading:open(pipe.read))
    assert(writing:open(pipe.write))
    local size = 0
    reading:read_start(function(_, chunk)
      size = size + #(chunk or "")
    end)
    local child = spawn("cat", {}, { stdio = { reading } })
    local text = ("x"):rep(300000)
    writing:write(text, function()
      writing:close()
    end)
    assert.is_true(children.finish(child).stdout == text)
    assert.equal(0, size)
    reading:close()
  end)

  it("may be the parent's standard input, which is paused", function()
    local child = children.start_lua [[
      local process = require "mw.process"
      local spawn = require("mw.child_process").spawn
      process.stdin:on("data", function(chunk)
        process.stdout:write("parent: " .. chunk)
        if chunk == "one\n" then
          local child = spawn("/bin/sh", { "-c", "read -r line; echo child: $line" }, { stdio = { process.stdin, 1, 2 } })
          process.stdout:write "lent\n"
          child:on("close", function()
            process.stdin:resume()
          end)
        end
      end)
    ]]
    local lines = child.stdout:lines()
    child.stdin:write "one\n"
    assert.equal("parent: one", lines())
    assert.equal("lent", lines())
    child.stdin:write "two\n"
    assert.equal("child: two", lines())
    child.stdin:write "three\n"
    assert.equal("parent: three", lines())
    child.stdin:finish()
    assert.is_nil((lines()))
    assert.equal(0, child:wait "close")
  end)
end)

describe("close", function()
  local text = {}
  for line = 1, 40000 do
    text[line] = ("%07d\n"):format(line)
  end
  text = table.concat(text)

  -- Writes the first bytes of the text to descriptors.
  local function printer(size, redirect)
    local path = folder:write("text", text:sub(1, size))
    return ("cat %s %s"):format(path, redirect or "")
  end

  it("comes without a reader, and what was not read stays readable", function()
    local child = spawn("/bin/sh", { "-c", printer(60000) .. ";" .. printer(60000, ">&2") .. ";" .. printer(60000, ">&3") }, {
      stdio = { "ignore", "pipe", "pipe", "pipe" },
    })
    assert.equal(0, child:wait("close", 10000))
    for number = 1, 3 do
      assert.equal(60000, child.stdio[number]:readable_length())
      assert.is_true(child.stdio[number]:read() == text:sub(1, 60000))
      assert.is_nil((child.stdio[number]:read()))
    end
  end)

  it("lets data and end come to who listens after it", function()
    local child = spawn("/bin/sh", { "-c", printer(60000) })
    assert.equal(0, child:wait("close", 10000))
    local seen, ended = children.collect(child.stdout), false
    child.stdout:on("end", function()
      ended = true
    end)
    eventually(function()
      return ended
    end)
    assert.is_true(seen() == text:sub(1, 60000))
  end)

  it("keeps a buffer's worth, the first, of what comes after the end of the child", function()
    local child = spawn("/bin/sh", { "-c", "{ read go; " .. printer(300000) .. "; } <&3 3<&- &" }, {
      stdio = { "ignore", "pipe", "pipe", "pipe" },
    })
    child:wait "exit"
    child.stdio[3]:write "go\n"
    assert.equal(0, child:wait("close", 10000))
    assert.equal(65536, child.stdout:readable_length())
    assert.is_true(child.stdout:read() == text:sub(1, 65536))
    assert.is_nil((child.stdout:read()))
  end)

  it("comes although a reader has paused, who gets all after resume()", function()
    for _, size in ipairs { 100, 60000, 150000 } do
      local child = spawn("/bin/sh", { "-c", printer(size) })
      local chunks, ended = {}, false
      child.stdout:on("end", function()
        ended = true
      end)
      child.stdout:on("data", function(chunk)
        chunks[#chunks + 1] = chunk
        child.stdout:pause()
      end)
      assert.equal(0, child:wait("close", 10000))
      assert.equal(1, #chunks)
      assert.is_false(ended)
      eventually(function()
        child.stdout:resume()
        return ended
      end)
      assert.is_true(table.concat(chunks) == text:sub(1, size))
    end
  end)

  it("comes although the streams were paused before they were read", function()
    local child = spawn("/bin/sh", { "-c", printer(60000) })
    child.stdout:pause()
    assert.equal(0, child:wait("close", 10000))
    assert.is_true(child.stdout:read() == text:sub(1, 60000))
  end)

  it("leaves nothing out for a slow reader of who prints on after the child", function()
    local child = spawn("/bin/sh", { "-c", ("for i in 1 2 3 4 5 6 7 8 9 10; do %s; done &"):format(printer(300000)) })
    local events = children.record(child)
    local size, rounds = 0, 0
    repeat
      local chunk = child.stdout:read()
      size = size + #(chunk or "")
      rounds = rounds + 1
      if rounds % 5 == 0 then
        mw.sleep(1)
      end
    until not chunk
    assert.equal(3000000, size)
    children.closed(events)
  end)
end)
