-- All troubles for a short while; the scripts take longer where they are told to.

local children = require "spec.support.children"
local is_sanitized = require "spec.support.is_sanitized"
local mw = require "mw"

-- Its status, and what it has printed.
local function run(...)
  local child = mw.child_process.spawn(mw.process.exec_path, { ... })
  local stdout, stderr = children.collect(child.stdout), children.collect(child.stderr)
  local status = child:wait "close"
  return status, stdout(), stderr()
end

describe("The master of a command line", function()
  it("stays small, and does not grow while its workers are replaced", function()
    local status, text, complaints = run("scripts/bench/master.lua", "2", "100", "1")
    assert.equal(0, status, complaints)
    local memory, own = text:match "memory: (%d+) KiB of PSS, (%d+) KiB of its own"
    local growth = text:match "after 100 restarts: ([+-]%d+) KiB"
    if not is_sanitized() then
      assert.is_true(tonumber(memory) <= 3072, text)
      assert.is_true(tonumber(growth) < own / 10, text)
    end
  end)
end)

describe("A supervised service that is reloaded, scaled, killed and short of memory", function()
  it("loses what the killed workers had, and nothing else", function()
    local status, text, complaints = run("scripts/bench/chaos.lua", "2")
    assert.is_nil(text:match "NOT AS PROMISED[^\n]*", text)
    assert.equal(0, status, text .. complaints)
    assert.equal(5, select(2, text:gsub("%d+ answered; lost", "")))
    assert.matches("\n  4 kills; as many workers again after [%d.]+ ms", text)
  end)
end)
