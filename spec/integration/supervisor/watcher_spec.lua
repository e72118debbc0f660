local Watcher = require "mw.supervisor.watcher"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local scratch = require "spec.support.scratch"
local uv = require "luv"
local watch_scope = require "mw.supervisor.watch_scope"

local clock = {}

function clock.now()
  return mw.process.hrtime() // 1000000
end

function clock.after(_, ms, fn)
  return mw.timers.set_timeout(fn, ms)
end

describe("A watcher", function()
  local folder, watcher, told, logged

  local function watch(paths)
    watcher = Watcher.new(watch_scope.of(folder.path .. "/app.lua", paths or true), {
      clock = clock,
      on_change = function(changes)
        told[#told + 1] = (table.concat(changes, " "):gsub("/%S-/mwrun%-spec%-[^/]*/", ""))
      end,
      log = function(text)
        logged[#logged + 1] = text
      end,
    })
    finally(function()
      watcher:close()
    end)
  end

  -- Waits for the change, and that it is the only one since the last.
  local function expect(changes)
    eventually(function()
      return told[1]
    end)
    assert.same({ changes }, told)
    told = {}
  end

  -- What is told next is this change, so nothing was told before it.
  local function expect_silence()
    folder:write("marker.lua", tostring(mw.process.hrtime()))
    expect "marker.lua"
  end

  local function make(name)
    assert(uv.fs_mkdir(folder.path .. "/" .. name, 448))
  end

  before_each(function()
    folder, told, logged = scratch.new(), {}, {}
    folder:write("app.lua", "one")
  end)

  after_each(function()
    folder:remove()
  end)

  it("tells of files that are written, made and removed, once for all that come together", function()
    folder:write("old.lua", "")
    watch()
    folder:write("app.lua", "two")
    folder:write("new.lua", "")
    os.remove(folder.path .. "/old.lua")
    expect "app.lua new.lua old.lua"
  end)

  it("tells of a file that an editor puts in the place of the old one", function()
    watch()
    for round = 1, 3 do
      os.rename(folder:write("app.lua.tmp", "round " .. round), folder.path .. "/app.lua")
      expect "app.lua"
    end
  end)

  it("tells of a file that was moved away and back with new text", function()
    watch()
    os.rename(folder.path .. "/app.lua", folder.path .. "/app.lua~")
    folder:write("app.lua", "two")
    os.remove(folder.path .. "/app.lua~")
    expect "app.lua"
    folder:write("app.lua", "three")
    expect "app.lua"
  end)

  it("does not tell of what is no Lua file, is hidden, or was there for a moment", function()
    make ".git"
    watch()
    folder:write("notes.txt", "x")
    folder:write(".app.lua.swp", "x")
    folder:write(".hidden.lua", "x")
    folder:write(".git/x.lua", "x")
    os.remove(folder:write("4913.lua", ""))
    expect_silence()
  end)

  it("looks into folders that are made later, with all that is in them at once", function()
    watch()
    make "a"
    make "a/b"
    folder:write("a/b/x.lua", "one")
    expect "a/b/x.lua"
    folder:write("a/b/x.lua", "two!")
    expect "a/b/x.lua"
  end)

  it("goes on with a folder that was removed and made again, and one that was moved", function()
    make "a"
    folder:write("a/x.lua", "one")
    watch()
    os.remove(folder.path .. "/a/x.lua")
    assert(uv.fs_rmdir(folder.path .. "/a"))
    make "a"
    folder:write("a/x.lua", "two")
    expect "a/x.lua"
    folder:write("a/x.lua", "three")
    expect "a/x.lua"
    os.rename(folder.path .. "/a", folder.path .. "/b")
    expect "a/x.lua b/x.lua"
    folder:write("b/x.lua", "four and more")
    expect "b/x.lua"
  end)

  it("waits for its whole folder to come back", function()
    make "src"
    folder:write("src/x.lua", "one")
    watch { folder.path .. "/src" }
    os.remove(folder.path .. "/src/x.lua")
    assert(uv.fs_rmdir(folder.path .. "/src"))
    expect "src/x.lua"
    make "src"
    folder:write("src/x.lua", "two")
    expect "src/x.lua"
    folder:write("src/x.lua", "three")
    expect "src/x.lua"
  end)

  it("is not led round by links", function()
    make "a"
    assert(uv.fs_symlink(folder.path, folder.path .. "/a/up"))
    watch()
    folder:write("a/x.lua", "one")
    expect "a/x.lua"
  end)

  it("tells once where a thousand files change at once", function()
    make "many"
    watch()
    for number = 1, 1000 do
      folder:write(("many/%d.lua"):format(number), "x")
    end
    eventually(function()
      return told[1]
    end)
    assert.equal(1, #told)
    assert.equal(1000, select(2, told[1]:gsub("%.lua", "")))
  end)

  it("says so where there are too many folders", function()
    for number = 1, 1100 do
      make("d" .. number)
    end
    watch()
    assert.equal(1, #logged)
    assert.matches("too many folders", logged[1], 1, true)
    folder:write("app.lua", "two")
    expect "app.lua"
  end)
end)
