local misuse = require "spec.support.misuse"
local supervisor = require "mw.supervisor"
local settings = require "mw.supervisor.settings"
local uv = require "luv"

describe("The settings of a supervisor", function()
  it("are the defaults where nothing is said", function()
    local all = settings.complete("start", { script = "app.lua" })
    assert.same({ limit = 5, window = 60000, delay = 100, max_delay = 30000 }, all.restart)
    assert.same({ interval = 1000, timeout = 10000 }, all.heartbeat)
    assert.same({ "listening", 10000, 5000 }, { all.ready, all.ready_timeout, all.graceful_timeout })
    assert.equal(uv.available_parallelism(), all.workers)
    assert.is_nil(all.max_memory or all.max_requests or all.max_lifetime or all.crash_dir)
  end)

  it("keep what is given, also a part of a table, which is not changed", function()
    local given = { script = "app.lua", workers = 3, restart = { limit = 1 }, args = { "x" } }
    local all = settings.complete("start", given)
    assert.equal(3, all.workers)
    assert.same({ limit = 1, window = 60000, delay = 100, max_delay = 30000 }, all.restart)
    assert.same({ script = "app.lua", workers = 3, restart = { limit = 1 }, args = { "x" } }, given)
    assert.is_false(all.args == given.args)
  end)

  it("name a folder for 'survive': beside the script where none is named", function()
    local function place(survive)
      return settings.complete("start", { script = "/srv/app.lua", survive = survive }).survive
    end
    assert.equal("/srv/.app.lua.state", place(true))
    assert.equal("/run/app", place "/run/app")
    assert.equal(uv.cwd() .. "/state", place "state")
    assert.is_nil(place(false))
    assert.is_nil(place(nil))
  end)

  for what, case in pairs {
    ["no table"] = { "app.lua", "bad argument 'options'" },
    ["no script"] = { {}, "bad argument 'script'" },
    ["an unknown key"] = { { script = "x", worker = 2 }, "unknown option 'worker', did you mean 'workers'?" },
    ["an unknown key of restart"] = { { script = "x", restart = { limits = 2 } }, "restart: unknown option 'limits'" },
    ["an unknown key of heartbeat"] = { { script = "x", heartbeat = { time = 2 } }, "heartbeat: unknown option 'time'" },
    ["no worker"] = { { script = "x", workers = 0 }, "'workers' (integer of at least 1, or 'auto' expected, got 0)" },
    ["a word for workers"] = { { script = "x", workers = "many" }, "bad option 'workers'" },
    ["a wrong type in restart"] = { { script = "x", restart = { delay = "1s" } }, "restart: bad option 'delay'" },
    ["restart without a table"] = { { script = "x", restart = 5 }, "bad option 'restart' (table expected, got 5)" },
    ["a time below zero"] = { { script = "x", graceful_timeout = -1 }, "bad option 'graceful_timeout'" },
    ["a word that is none"] = {
      { script = "x", ready = "soon" },
      "bad option 'ready' ('listening', 'message', 'script' expected",
    },
    ["a word for watch"] = { { script = "x", watch = "src" }, "bad option 'watch' (boolean or list of strings expected" },
    ["a number for survive"] = { { script = "x", survive = 1 }, "'survive' (boolean or name of a folder expected, got 1)" },
    ["a notifier without a source"] = { { script = "x", notifier = {} }, "'notifier' (table with 'file' or 'script' expected" },
    ["a notifier with two sources"] = {
      { script = "x", notifier = { file = "a", script = "b" } },
      "'notifier' (table with 'file' or 'script' expected",
    },
    ["an unknown key of notifier"] = { { script = "x", notifier = { file = "a", every = 1 } }, "unknown option 'every'" },
    ["a script with a NUL byte"] = { { script = "x\0" }, "bad argument 'script'" },
  } do
    it("refuse " .. what, function()
      local message = misuse(function()
        supervisor.start(case[1])
      end)
      assert.matches("supervisor", message, 1, true)
      assert.matches(case[2], message, 1, true)
    end)
  end
end)
