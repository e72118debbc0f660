local crash_record = require "mw.supervisor.crash_record"
local scratch = require "spec.support.scratch"
local uv = require "luv"

local crash = {
  why = "worker 3 (slot 1, pid 99) was ended by SIGSEGV",
  time = 0,
  id = 3,
  pid = 99,
  slot = 1,
  generation = 2,
  uptime = 1234,
  signal = "SIGSEGV",
  memory = 1000000,
  traceback = "stack traceback:\n  app.lua:7",
  output = { "first", "last" },
  messages = { "ready", { user = "ann" } },
}

local text = [[
worker 3 (slot 1, pid 99) was ended by SIGSEGV

time: 1970-01-01T00:00:00Z
pid: 99
slot: 1
generation: 2
uptime: 1234
signal: SIGSEGV
memory: 1000000

traceback:
  stack traceback:
    app.lua:7

last output:
  first
  last

last messages:
  "ready"
  {"user":"ann"}
]]

describe("A crash record", function()
  local folder

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)

  it("has all that is known", function()
    assert.equal(text, crash_record.format(crash))
  end)

  it("leaves out what is not known", function()
    local bare = { why = "so", time = 0, id = 1, slot = 1, generation = 1, uptime = 0 }
    assert.equal("so\n\ntime: 1970-01-01T00:00:00Z\nslot: 1\ngeneration: 1\nuptime: 0\n", crash_record.format(bare))
  end)

  it("shows messages that are no JSON, and no more than a part of long ones", function()
    local messages = { { [{}] = 1 }, { ("x"):rep(5000) }, 7 }
    local shown = crash_record.format { why = "", time = 0, id = 1, slot = 1, generation = 1, uptime = 0, messages = messages }
    assert.is_true(#shown < 1300)
    assert.matches("\n  7\n$", shown)
  end)

  it("is a file of its own, for nobody else to read, in a folder that is made", function()
    local path = assert(crash_record.write(folder.path .. "/crashes", crash))
    assert.equal(folder.path .. "/crashes/crash-19700101T000000-3-99.txt", path)
    assert.equal(text, folder:read(path:sub(#folder.path + 2)))
    assert.equal(384, uv.fs_stat(path).mode & 511)
    assert.equal(448, uv.fs_stat(folder.path .. "/crashes").mode & 511)
  end)

  it("does not take the place of another", function()
    assert(crash_record.write(folder.path, crash))
    local path, err = crash_record.write(folder.path, crash)
    assert.is_nil(path)
    assert.equal("EEXIST", err.code)
  end)

  it("that can't be written is an error", function()
    local path, err = crash_record.write(folder.path .. "/no/such", crash)
    assert.is_nil(path)
    assert.equal("ENOENT", err.code)
    assert.matches("no/such/crash", tostring(err), 1, true)
  end)
end)
