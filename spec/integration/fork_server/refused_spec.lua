-- Fork servers where the kernel refuses something, or ends somebody, for real.

local mw = require "mw"
local sandbox = require "spec.support.sandbox"
local scratch = require "spec.support.scratch"

local folder

before_each(function()
  folder = scratch.new()
  folder:write("worker.lua", "require('mw').process.send(require('mw').process.ppid)")
end)

after_each(function()
  folder:remove()
end)

describe("Where the kernel makes no child for its parent's parent", function()
  it("workers are made in the portable way, without being told to", function()
    local result = sandbox.run(
      folder,
      "no-siblings",
      [[
        local mw = require "mw"
        for _ = 1, 3 do
          local child = mw.child_process.fork("worker.lua", {}, { preload = {} })
          io.write(tostring(child:wait "message" == mw.process.pid), " ")
          child:wait "close"
          io.write(child.exit_code, "\n")
        end
      ]]
    )
    assert.equal("true 0\ntrue 0\ntrue 0\n", result.stdout)
    assert.equal("", result.stderr)
    assert.equal(0, result.code)
  end)
end)

for way, portable in pairs { ["the kernel's way"] = false, ["the portable way"] = true } do
  describe("A worker, made in " .. way .. ", that is killed before it runs", function()
    it("is an error that says so, and leaves nothing; its server goes on", function()
      local result = sandbox.run(
        folder,
        "no-sessions",
        ([[
          local mw = require "mw"
          local uv = require "luv"
          require("mw.fork_server").portable = %s
          local pid = mw.process.pid
          local function open_descriptors()
            local count = 0
            for _ in uv.fs_scandir_next, uv.fs_scandir "/proc/self/fd" do count = count + 1 end
            return count
          end
          local function family()
            local file <close> = io.open(("/proc/%%d/task/%%d/children"):format(pid, pid))
            return file:read "a"
          end
          local function fork(options)
            options.preload = {}
            return mw.child_process.fork("worker.lua", {}, options)
          end
          fork({}):wait "close"
          local server, descriptors = family(), open_descriptors()
          for _ = 1, 3 do
            local child = fork { detached = true }
            local _, err = child:wait "close"
            print(child.pid, err.code, err.message)
          end
          local child = fork {}
          print(child:wait "message" == pid)
          child:wait "close"
          collectgarbage()
          while family() ~= server or open_descriptors() ~= descriptors do mw.sleep(1) end
        ]]):format(portable)
      )
      local line = ("nil\tECONNRESET\tECONNRESET: connection reset by peer, spawn %s (it was killed before it ran)\n"):format(
        mw.process.exec_path
      )
      assert.equal("", result.stderr)
      assert.equal(line:rep(3) .. "true\n", result.stdout)
      assert.equal(0, result.code)
    end)
  end)
end
