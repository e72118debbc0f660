-- Workers that come from a fork server.

local eventually = require "spec.support.eventually"
local mw = require "mw"
local proc = require "spec.support.proc"
local supervised = require "spec.support.supervised"

local it = supervised.it
local process = mw.process

local mebibyte = 1024 * 1024

-- A module of 96 MiB, and workers that need nothing else.
local function write_module(text)
  local file = assert(io.open(supervised.path "heavy.lua", "w"))
  file:write(text)
  file:close()
end

local code = [[
  io.stdout:write("<", #require "heavy", ">\n")
  process.send "ready"
]]

-- Waits until so many workers have written how long the module is.
local function await_lengths(count, length)
  eventually(function()
    return select(2, supervised.written():gsub(("<%d>"):format(length), "")) == count
  end)
end

local function start(opts)
  write_module "return ('x'):rep(96 * 1024 * 1024)"
  local before = process.env.LUA_PATH
  process.env.LUA_PATH = supervised.path "?.lua" .. ";" .. (before or ";")
  finally(function()
    process.env.LUA_PATH = before
  end)
  local all = { preload = { "heavy" }, heartbeat = { interval = 50, timeout = 10000 } }
  for key, value in pairs(opts) do
    all[key] = value
  end
  return supervised.start(code, all)
end

describe("Supervised workers that are preloaded", function()
  it("share what was loaded once, and count it by shares", function()
    local run = start { workers = 4, max_memory = 64 * mebibyte }
    run:all_ready()
    local workers = eventually(function()
      local list, measured = run.supervisor:workers(), 0
      for _, worker in ipairs(list) do
        measured = measured + (worker.memory and worker.memory < 64 * mebibyte and 1 or 0)
      end
      return measured == 4 and list
    end)
    for _, worker in ipairs(workers) do
      assert.is_true(proc.is_alive(worker.pid))
    end
    assert.equal(4, run:count "ready")
    await_lengths(4, 96 * mebibyte)
  end)

  it("are replaced, reloaded and told what has changed as all others", function()
    local run = start { workers = 2 }
    run:all_ready()
    assert(process.kill(run.supervisor:workers()[1].pid, "SIGKILL"))
    run:event("ready", 3)
    write_module "return 'new'"
    assert.is_true(run.supervisor:reload())
    await_lengths(2, 3)
    assert.equal(2, run.supervisor:status().generation)
    assert.equal(1, run.supervisor:status().restarts)
  end)

  it("go on where a module is wrong now, and say so", function()
    local run = start { workers = 1 }
    local before = run:all_ready()
    write_module "return ="
    local ok, err = run.supervisor:reload()
    assert.is_nil(ok)
    assert.matches("heavy.lua:1: unexpected symbol", tostring(err), 1, true)
    assert.equal(before[1].pid, run.supervisor:workers()[1].pid)
  end)
end)
