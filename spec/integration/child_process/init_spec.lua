-- mwrun as pid 1: of a container, here of a namespace of its own.

local child_process = require "mw.child_process"
local process = require "mw.process"
local scratch = require "spec.support.scratch"

local function run_as_init(code)
  local folder = scratch.new()
  local path = folder:write("init.lua", 'local mw = require "mw"\n' .. code)
  local result = child_process.spawn_sync(
    "unshare",
    { "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", process.exec_path, path },
    { timeout = 20000, kill_signal = "SIGKILL" }
  )
  folder:remove()
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

-- In the script: how many processes there are, those that wait to be reaped
-- among them.
local process_count = [[
  local function process_count()
    local count = 0
    for name in require("luv").fs_scandir_next, require("luv").fs_scandir "/proc" do
      count = count + (name:find "^%d+$" and 1 or 0)
    end
    return count
  end
]]

describe("As pid 1", function()
  it("mwrun reaps orphans, and still tells the end of its own children", function()
    local output = run_as_init(process_count .. [[
      print(mw.process.pid)
      local keeper = mw.child_process.spawn("sleep", { "1000" })
      local sure = mw.child_process.spawn("sh", { "-c", "for i in 1 2 3 4 5; do (exit 3) & done; exit 7" })
      print(sure:wait "exit")
      -- Each leaves a grandchild behind that ends later.
      for _ = 1, 10 do
        mw.child_process.spawn("sh", { "-c", "sleep 0.1 & exit 0" }):wait "exit"
      end
      local deadline = mw.process.hrtime() + 5e9
      repeat
        mw.sleep(20)
      until process_count() == 2 or mw.process.hrtime() > deadline
      print(process_count())
      keeper:kill()
      print(keeper:wait "exit")
    ]])
    assert.equal("1\n7\tnil\n2\nnil\tSIGTERM\n", output)
  end)
end)
