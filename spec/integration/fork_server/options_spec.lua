-- What a worker of a fork server gets is what any forked process gets: each
-- set of options is tried with and without the server, and the worker tells
-- all that the kernel knows of it.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local fork_server = require "mw.fork_server"
local forks = require "spec.support.forks"
local mw = require "mw"
local scratch = require "spec.support.scratch"
local uv = require "luv"

local probe = [[
  local process, uv = mw.process, require "luv"
  local told = { process.umask(), process.getuid(), process.getgid(), process.cwd(), process.title, ... }
  local function tell(text) told[#told + 1] = text end
  local pid = process.pid
  local stat = io.open("/proc/self/stat"):read "a"
  local ppid, group, session = stat:match "^.*%) %a (%d+) (%d+) (%d+)"
  local function name(number)
    return tonumber(number) == pid and "own" or number
  end
  tell(ppid) tell(name(group)) tell(name(session))
  for line in io.lines "/proc/self/status" do
    -- Sanitizers catch SIGBUS, SIGFPE and SIGSEGV in what is executed.
    line = line:gsub("^(SigCgt:%s+)(%x+)", function(start, set)
      return ("%s%x"):format(start, tonumber(set, 16) & ~0x4c0)
    end)
    if line:find "^Sig[BIC]" or line:find "^NoNew" or line:find "^[UG]id" or line:find "^Groups" or line:find "^Threads"
      or line:find "^Cap" or line:find "^Name" or line:find "^CoreDump" then
      tell(line)
    end
  end
  for line in io.lines "/proc/self/limits" do tell(line) end
  tell(io.open("/proc/self/cmdline"):read("a"):match "^(.-)%z*$")
  tell(mw.json.encode(process.argv)) tell(mw.json.encode(process.exec_argv))
  tell(process.exec_path)
  local env = {}
  for variable, value in pairs(process.env) do env[#env + 1] = variable .. "=" .. value end
  table.sort(env)
  for _, line in ipairs(env) do tell(line) end
  collectgarbage() -- closes what was read
  for fd = 0, 20 do
    local target = uv.fs_readlink("/proc/self/fd/" .. fd)
    tell(fd .. " " .. (target and target:gsub("%d+", "") or "none"))
  end
  for fd = 0, 9 do
    local info = io.open("/proc/self/fdinfo/" .. fd)
    tell(info and info:read("a"):match "flags:%s+%d+" or "none")
    if info then info:close() end
  end
  tell(tostring(process.stdout.is_tty) .. tostring(process.stdin.is_tty) .. tostring(process.connected))
  for index = 1, #told do told[index] = tostring(told[index]) end
  told[#told + 1] = table.concat({ table.unpack(arg) }, ",")
  if mw.json and process.send then process.send(told) end
]]

local folder

before_each(function()
  folder = scratch.new()
end)

after_each(function()
  fork_server.portable = false
  folder:remove()
  forks.clean()
end)

-- What the worker tells, and what became of it.
local function told(opts)
  local path = forks.write("probe.lua", probe)
  assert(uv.fs_chmod(path:match "^(.*)/", 493)) -- for other users
  local child = child_process.fork(path, { "x", "y z" }, opts)
  local answer
  child:on("message", function(message)
    answer = message
  end)
  local result = children.finish(child)
  return answer, result
end

local function with(opts, more)
  local all = {}
  for _, part in ipairs { opts, more } do
    for key, value in pairs(part) do
      all[key] = value
    end
  end
  return all
end

local is_root = mw.process.getuid() == 0
-- Not in a home that nobody else may enter.
local is_open = is_root
  and child_process.spawn_sync(mw.process.exec_path, { "-v" }, { uid = 65534, gid = 65534 }).status == 0

local cases = {
  ["without options"] = {},
  ["with pipes"] = { silent = true },
  ["without standard streams"] = { stdio = { "ignore", "ignore", "ignore", "ipc" } },
  ["with more descriptors"] = { stdio = { "ignore", "pipe", 2, "ignore", "pipe", 2, "ipc", "pipe", nil, 1 } },
  ["with the channel first"] = { stdio = { "ipc", 1, 2 } },
  ["with streams the wrong way round"] = { stdio = { "ignore", 2, 1, "ipc", 0 } },
  ["with json"] = { serialization = "json" },
  ["with another environment"] = { env = { A = "1", EMPTY = "", PATH = "/bin" } },
  ["with a large environment"] = { env = { LARGE = ("x"):rep(100000), LARGER = ("y"):rep(120000) } },
  ["in another folder"] = { cwd = "/usr" },
  ["with another argv[0]"] = { argv0 = "other" },
  ["with options of lua"] = { exec_argv = { "-W", "-E" } },
  ["on its own"] = { detached = true },
  ["in a group of its own"] = { process_group = true },
  ["with limits"] = { limits = { nofile = { 100, 200 }, core = 0, no_new_privs = true } },
  ["with a mask for files"] = { umask = 63 },
  ["that may outlive us"] = { die_with_parent = false },
}
if is_root then
  cases["of another group"] = { gid = 12345 }
end
if is_open then
  cases["of another user"] = { uid = 65534, gid = 65534 }
end

for way, portable in pairs { ["the kernel's way"] = false, ["the portable way"] = true } do
  describe("A worker made in " .. way, function()
    before_each(function()
      fork_server.portable = portable
    end)

    for what, opts in pairs(cases) do
      it(what .. " is as one that was not preloaded", function()
        local expected = told(opts)
        local got, result = told(with(opts, { preload = {} }))
        assert.is_nil(result.error)
        assert.is_true(#got > 60)
        assert.same(expected, got)
      end)
    end

    for what, opts in pairs {
      ["a folder that is not there"] = { cwd = "/no/such/folder" },
      ["a group that is not there"] = { process_group = 4194303 },
      ["limits above its own"] = not is_root and { limits = { nofile = { 1000000000, 1000000000 } } } or nil,
      ["a session and another's group"] = { detached = true, process_group = mw.process.ppid },
    } do
      it("is refused with the same words for " .. what, function()
        local _, plain = told(opts)
        local _, result = told(with(opts, { preload = {} }))
        assert.truthy(plain.error)
        assert.same(plain.error, result.error)
        assert.same(plain.events, result.events)
      end)
    end

    it("starts in our folder, whatever has become of its name", function()
      local before = mw.process.cwd()
      mw.process.chdir(folder.path)
      local ok, err = pcall(function()
        local path = forks.write("here.lua", "io.open('here', 'w'):close()")
        assert.equal(0, forks.run("", { preload = {} }).code)
        assert(os.rename(folder.path, folder.path .. "-moved"))
        assert.equal(0, children.finish(child_process.fork(path, {}, { preload = {} })).code)
        assert(io.open(folder.path .. "-moved/here")):close()
        assert(os.rename(folder.path .. "-moved", folder.path))
      end)
      mw.process.chdir(before)
      assert(ok, err)
    end)

    it("takes hundreds of descriptors", function()
      local stdio = { "ignore", 1, 2, "ipc" }
      local file <close> = assert(io.open "/dev/zero")
      assert(file)
      for index = 5, 600 do
        stdio[index] = 2
      end
      local code = "local uv, count = require 'luv', 0 for fd = 4, 599 do count = count + (uv.fs_fstat(fd) and 1 or 0) end"
      local result, messages = forks.run(code .. " process.send(count)", { stdio = stdio, preload = {} })
      assert.equal(0, result.code)
      assert.same({ 596 }, messages)
    end)

    it("gives its exact end", function()
      assert.equal(7, forks.run("os.exit(7)", { preload = {} }).code)
      assert.equal("SIGKILL", forks.run("process.kill(process.pid, 'SIGKILL')", { preload = {} }).signal)
      local aborted = forks.run("process.abort()", { preload = {}, limits = { core = 0 } })
      assert.equal("SIGABRT", aborted.signal)
      assert.equal("SIGTERM", forks.run("mw.sleep(60000)", { preload = {}, timeout = 50 }).signal)
    end)

    it("is one of a hundred at once, each with its own answer", function()
      local path = forks.write("me.lua", "process.send(arg[1] .. ' ' .. process.pid)")
      local seen, count = {}, 0
      for index = 1, 100 do
        local child = child_process.fork(path, { index }, { preload = {} })
        child:on("message", function(text)
          assert.equal(("%d %d"):format(index, child.pid), text)
          seen[child.pid] = true
        end)
        child:on("close", function(code)
          assert.equal(0, code)
          count = count + 1
        end)
      end
      eventually(function()
        return count == 100
      end)
      local different = 0
      for _ in pairs(seen) do
        different = different + 1
      end
      assert.equal(100, different)
    end)
  end)
end
