-- The portable way makes us, for a moment, the parent of all orphans among our
-- descendants. Those that come to us then stay ours.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local fork_server = require "mw.fork_server"
local leaks = require "spec.support.leaks"
local mw = require "mw"
local proc = require "spec.support.proc"
local scratch = require "spec.support.scratch"
local uv = require "luv"

-- Makes one orphan after the other until one becomes a child of the process $1,
-- which waits for the process $2: that may go on then.
local orphanage = [[
  until [ -e adopted ]; do
    rm -f parent
    sh -c 'sh ./orphan.sh $0 $$ &' $1
    until [ -e parent ]; do :; done
  done
  kill -CONT $2
]]

-- Tells in `parent` whose child it is when the process $2 has ended.
local orphan = [[
  parent=$2
  while [ $parent = $2 ]; do
    read -r _ _ _ parent _ </proc/$$/stat
  done
  [ $parent != $1 ] || echo $$ >adopted
  echo $parent >parent.new
  mv parent.new parent
  [ $parent != $1 ] || exec sleep 60
]]

local folder, server

local function fork()
  return child_process.fork(folder:write("worker.lua", ""), {}, { preload = {} })
end

local function has_child(pid)
  for _, child in ipairs(leaks.children()) do
    if child == pid then
      return true
    end
  end
  return false
end

-- The pid of an orphan that came to us while a worker was made.
local function adopt_one()
  local arguments = { "orphanage.sh", mw.process.pid, server }
  local helper = child_process.spawn("sh", arguments, { cwd = folder.path, stdio = "ignore" })
  mw.process.kill(server, "SIGSTOP")
  assert.equal(0, children.finish(fork()).code)
  assert.equal(0, children.finish(helper).code)
  local pid = math.tointeger(folder:read "adopted")
  assert.is_true(has_child(pid))
  return pid
end

before_each(function()
  folder = scratch.new()
  folder:write("orphanage.sh", orphanage)
  folder:write("orphan.sh", orphan)
  fork_server.portable = true
  local before = {}
  for _, pid in ipairs(leaks.children()) do
    before[pid] = true
  end
  assert.equal(0, children.finish(fork()).code)
  for _, pid in ipairs(leaks.children()) do
    server = not before[pid] and pid or server
  end
end)

after_each(function()
  fork_server.portable = false
  folder:remove()
end)

describe("An orphan that comes to us while a worker is made", function()
  it("is reaped when it ends", function()
    local pid = adopt_one()
    assert.is_true(proc.is_alive(pid))
    mw.process.kill(pid)
    eventually(function()
      return not has_child(pid)
    end)
  end)

  it("does not keep us alive", function()
    local script = folder:write(
      "master.lua",
      ([[
        require("mw.fork_server").portable = true
        local mw = require "mw"
        local function fork() return mw.child_process.fork("worker.lua", {}, { preload = {} }) end
        fork():wait "close"
        local pid = mw.process.pid
        local server = io.open(("/proc/%d/task/%d/children"):format(pid, pid)):read "n"
        mw.child_process.spawn("sh", { "orphanage.sh", pid, server }, { stdio = "ignore" })
        mw.process.kill(server, "SIGSTOP")
        fork()
      ]])
    )
    assert.equal(0, children.run(mw.process.exec_path, { script }, { cwd = folder.path }).code)
    local pid = math.tointeger(folder:read "adopted")
    assert.is_true(proc.is_alive(pid))
    mw.process.kill(pid, "SIGKILL")
  end)

  it("takes nothing from who waits for a child of another's", function()
    local code
    local other = uv.spawn("sh", { args = { "-c", "exit 7" } }, function(status)
      code = status
    end)
    mw.process.kill(adopt_one())
    eventually(function()
      return code
    end)
    other:close()
    assert.equal(7, code)
  end)
end)
