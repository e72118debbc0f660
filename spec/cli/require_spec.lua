local fresh_folder = require "spec.cli.fresh_folder"
local run_mwrun = require "spec.support.run_mwrun"
local uv = require "luv"

-- Runs a command line in a folder with these files, which `prepare` may add
-- to; returns what came of it and where the folder was.
local function run(files, args, opts)
  local folder = fresh_folder(files)
  opts = opts or {}
  if opts.prepare then
    opts.prepare(folder.path)
  end
  local cwd = opts.cwd and folder.path .. "/" .. opts.cwd or folder.path
  local result = run_mwrun(args, { cwd = cwd, input = opts.input })
  folder:remove()
  return result, folder.path
end

local function prints(files, args, opts)
  local result = run(files, args, opts)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

-- What is printed where main.lua is run from elsewhere.
local function main_prints(files)
  return prints(files, { "main.lua" }), prints(files, { "../main.lua" }, { cwd = "elsewhere" })
end

-- The text of a module that counts how often it is run.
local counting = "runs = (runs or 0) + 1 return { run = runs }"

describe("require of a relative name", function()
  it("finds a sibling of the file that asks, from wherever it is run", function()
    local here, there = main_prints {
      ["main.lua"] = "print((require './sibling'))",
      ["sibling.lua"] = "return 'the sibling'",
      ["elsewhere/sibling.lua"] = "return 'another'",
    }
    assert.equal("the sibling\n", here)
    assert.equal(here, there)
  end)

  it("finds a file of the parent, and of its folders", function()
    local here, there = main_prints {
      ["main.lua"] = "print((require './a/b/inner'))",
      ["a/b/inner.lua"] = "return (require '../middle') .. (require '../../outer') .. (require '../c/other')",
      ["a/middle.lua"] = "return 'middle '",
      ["a/c/other.lua"] = "return 'other'",
      ["outer.lua"] = "return 'outer '",
      ["elsewhere/"] = true,
    }
    assert.equal("middle outer other\n", here)
    assert.equal(here, there)
  end)

  it("finds a script that is named by its full path", function()
    local folder = fresh_folder { ["main.lua"] = "print((require './x'))", ["x.lua"] = "return 'x'" }
    finally(function()
      folder:remove()
    end)
    assert.equal("x\n", run_mwrun({ folder.path .. "/main.lua" }).stdout)
  end)

  it("takes init.lua for a folder", function()
    assert.equal("init sub\n", prints({
      ["d/init.lua"] = "return 'init ' .. require './sub'",
      ["d/sub.lua"] = "return 'sub'",
    }, { "-e", "print((require './d'))" }))
  end)

  it("takes . and .. for folders", function()
    assert.equal("outer inner\n", prints({
      ["init.lua"] = "return 'outer'",
      ["d/init.lua"] = "return 'inner'",
      ["d/m.lua"] = "return (require '..') .. ' ' .. (require '.')",
    }, { "-e", "print((require './d/m'))" }))
  end)

  it("prefers the file to the folder of the same name", function()
    assert.equal("file\tfolder\n", prints({
      ["x.lua"] = "return 'file'",
      ["x/init.lua"] = "return 'folder'",
    }, { "-e", "print((require './x'), (require './x/'))" }))
  end)

  it("takes ./x and ./x.lua for the same module", function()
    assert.equal("true\t1\n", prints({ ["x.lua"] = counting }, {
      "-e",
      "print(require './x' == require './x.lua', runs)",
    }))
  end)

  it("runs a module once, by whatever path", function()
    assert.equal("true\t1\n", prints({
      ["x.lua"] = counting,
      ["d/y.lua"] = "return require '../x'",
    }, { "-e", "print(require './x' == require './d/y' and require './d/../x' == require '././x', runs)" }))
  end)

  it("runs a module once that goes by several links", function()
    local function link(folder)
      assert(uv.fs_symlink("real/x.lua", folder .. "/link.lua"))
      assert(uv.fs_symlink("real", folder .. "/other"))
    end
    assert.equal("true\ttrue\t1\n", prints({ ["real/x.lua"] = counting }, {
      "-e",
      "local x = require './real/x' print(x == require './link', x == require './other/x', runs)",
    }, { prepare = link }))
  end)

  it("resolves against the place where the script really is", function()
    local function link(folder)
      assert(uv.fs_symlink("../real/main.lua", folder .. "/bin/tool"))
    end
    assert.equal("found\n", prints({
      ["real/main.lua"] = "print((require './x'))",
      ["real/x.lua"] = "return 'found'",
      ["bin/"] = true,
    }, { "bin/tool" }, { prepare = link }))
  end)

  it("uses the current folder in -e", function()
    assert.equal("x\n", prints({ ["d/x.lua"] = "return 'x'" }, { "-e", "print((require './x'))" }, { cwd = "d" }))
  end)

  it("uses the current folder in standard input", function()
    local files = { ["d/x.lua"] = "return 'x'" }
    assert.equal("x\n", prints(files, {}, { cwd = "d", input = "print((require './x'))" }))
    assert.equal("x\n", prints(files, { "-" }, { cwd = "d", input = "print((require './x'))" }))
  end)

  it("uses the current folder in -l", function()
    assert.equal("x\n", prints({ ["x.lua"] = "return 'x'" }, { "-l", "x=./x", "-e", "print(x)" }))
  end)

  it("uses the current folder of the moment in -e, after process.chdir too", function()
    assert.equal("x\n", prints({ ["d/x.lua"] = "return 'x'" }, {
      "-e",
      "assert(require('mw').process.chdir 'd') print((require './x'))",
    }))
  end)

  it("stays with the folder of the file after process.chdir", function()
    assert.equal("right\n", prints({
      ["main.lua"] = "assert(require('mw').process.chdir 'd') print((require './x'))",
      ["x.lua"] = "return 'right'",
      ["d/x.lua"] = "return 'wrong'",
    }, { "main.lua" }))
  end)

  it("knows a file that package.path found after process.chdir", function()
    assert.equal("right\n", prints({
      ["main.lua"] = "assert(require('mw').process.chdir 'd') print((require 'm'))",
      ["d/m.lua"] = "return (require './x')",
      ["d/x.lua"] = "return 'right'",
      ["x.lua"] = "return 'wrong'",
    }, { "main.lua" }))
  end)

  it("resolves against a file that dofile or package.path has run", function()
    assert.equal("x\tx\n", prints({
      ["d/x.lua"] = "return 'x'",
      ["d/m.lua"] = "return (require './x')",
    }, { "-e", "print(dofile 'd/m.lua', (require 'd.m'))" }))
  end)

  it("resolves against the file whose function asks, not its caller's", function()
    assert.equal("d\n", prints({
      ["d/m.lua"] = "return function() return (require './x') end",
      ["d/x.lua"] = "return 'd'",
      ["x.lua"] = "return 'here'",
    }, { "-e", "local load = require './d/m' print(load())" }))
  end)

  it("resolves a text given to load against the file around it", function()
    assert.equal("d\n", prints({
      ["d/m.lua"] = [[local value = load "return (require './x')"() return value]],
      ["d/x.lua"] = "return 'd'",
    }, { "-e", "print((require './d/m'))" }))
  end)

  it("works in a coroutine and in a task", function()
    assert.equal("x\ny\n", prints({
      ["d/m.lua"] = [[
        print(coroutine.wrap(function() return (require './x') end)())
        require("mw").go(function() print((require './y')) end)
      ]],
      ["d/x.lua"] = "return 'x'",
      ["d/y.lua"] = "return 'y'",
    }, { "d/m.lua" }))
  end)

  it("works through pcall", function()
    assert.equal("true\tx\n", prints({
      ["d/m.lua"] = "print(select(1, pcall(require, './x')), select(2, pcall(require, './x')))",
      ["d/x.lua"] = "return 'x'",
    }, { "d/m.lua" }))
  end)

  it("works in a tail call", function()
    assert.equal("x\n", prints({
      ["d/m.lua"] = "return require './x'",
      ["d/x.lua"] = "return 'x'",
    }, { "-e", "print((require './d/m'))" }))
  end)

  it("gives the module its name and its file", function()
    local result, folder = run({ ["x.lua"] = "print(...)" }, { "-e", "require './x'" })
    assert.equal("./x\t" .. folder .. "/x.lua\n", result.stdout)
  end)

  it("returns the file behind the module, the first time", function()
    local result, folder = run({ ["x.lua"] = "return 5" }, { "-e", "print(require './x') print(require './x')" })
    assert.equal("5\t" .. folder .. "/x.lua\n5\n", result.stdout)
  end)

  it("keeps modules in package.loaded by their real path", function()
    local result, folder = run({ ["x.lua"] = "return 5" }, {
      "-e",
      "require './x' for name, value in pairs(package.loaded) do if value == 5 then print(name) end end",
    })
    assert.equal(folder .. "/x.lua\n", result.stdout)
  end)

  it("takes true for a module that returns nothing", function()
    assert.equal("true\ttrue\n", prints({ ["x.lua"] = "x = 1" }, { "-e", "print((require './x'), (require './x'))" }))
  end)

  it("takes what a module puts into package.loaded itself", function()
    assert.equal("7\n", prints({ ["x.lua"] = "package.loaded[select(2, ...)] = 7" }, { "-e", "print((require './x'))" }))
  end)

  it("runs a module again that returned false, as require does", function()
    assert.equal("false\tfalse\t2\n", prints({ ["x.lua"] = "n = (n or 0) + 1 return false" }, {
      "-e",
      "print((require './x'), (require './x'), n)",
    }))
  end)

  it("passes over a shebang", function()
    assert.equal("5\n", prints({ ["x.lua"] = "#!/usr/bin/lua\nreturn 5" }, { "-e", "print((require './x'))" }))
  end)

  it("is run again after an error in the module", function()
    assert.equal("false\ttrue\n", prints({ ["x.lua"] = "n = (n or 0) + 1 if n == 1 then error 'first' end" }, {
      "-e",
      "print((pcall(require, './x')), (pcall(require, './x')))",
    }))
  end)

  it("raises the error of the module as it is", function()
    assert.equal("true\n", prints({ ["x.lua"] = "E = {} error(E)" }, {
      "-e",
      "local _, err = pcall(require, './x') print(err == E)",
    }))
  end)

  it("names the file and line of an error, and require in the traceback", function()
    local result, folder = run({ ["x.lua"] = "\nerror 'no'" }, { "-e", "require './x'" })
    assert.equal(1, result.status)
    assert.equal(
      "mwrun: " .. folder .. "/x.lua:2: no\nstack traceback:\n\t[C]: in function 'error'\n\t" .. folder
        .. "/x.lua:2: in main chunk\n\t[C]: in function 'require'\n\t(command line):1: in main chunk\n\t[C]: in ?\n",
      (result.stderr:gsub("^[^:]*mwrun:", "mwrun:"))
    )
  end)

  it("tells of a syntax error as require does", function()
    local result, folder = run({ ["x.lua"] = "x = = 1" }, { "-e", "print(select(2, pcall(require, './x')))" })
    local file = folder .. "/x.lua"
    assert.equal(
      ("error loading module './x' from file '%s':\n\t%s:1: unexpected symbol near '='\n"):format(file, file),
      result.stdout
    )
  end)

  it("lists the places where it has looked", function()
    local result, folder = run({ ["m.lua"] = "require './d/x'" }, { "-e", "print(select(2, pcall(require, './m')))" })
    local places = folder .. "/m.lua:1: module './d/x' not found:"
    for _, ending in ipairs { "", ".lua", ".json", "/init.lua" } do
      places = places .. ("\n\tno file '%s/d/x%s'"):format(folder, ending)
    end
    assert.equal(places .. "\n", result.stdout)
  end)

  it("says that a folder without init.lua is none", function()
    local result = run({ ["d/x"] = "" }, { "-e", "print(select(2, pcall(require, './d')))" })
    assert.matches("module './d' not found:", result.stdout, 1, true)
  end)

  it("is no part of package.path", function()
    local result = run({ ["x.lua"] = "return 'x'" }, { "-e", "package.path = '' print((require './x'))" })
    assert.equal("x\n", result.stdout)
  end)
end)

describe("require of a JSON file", function()
  local function show(text)
    return prints({ ["x.json"] = text }, {
      "-e",
      [[local mw = require "mw"
        local x = require "./x.json"
        print(x == mw.null and "null" or type(x) == "table" and mw.json.encode(x) or x)]],
    })
  end

  it("decodes it", function()
    assert.equal("5\n", show "5")
    assert.equal("text\n", show '"text"')
    assert.equal("false\n", show "false")
  end)

  it("has null as mw.null", function()
    assert.equal("null\n", show "null")
    assert.equal("[null]\n", show "[null]")
  end)

  it("keeps arrays arrays", function()
    assert.equal('[1,2,[],{"a":[]}]\n', show '[1, 2, [], {"a": []}]\n')
  end)

  it("passes over a byte order mark", function()
    assert.equal("[1]\n", show "\xEF\xBB\xBF[1]")
  end)

  it("finds it without the ending, where there is no Lua file", function()
    local files = { ["x.json"] = "1", ["y.json"] = "2", ["y.lua"] = "return 'lua'" }
    assert.equal("1\tlua\n", prints(files, { "-e", "print((require './x'), (require './y'))" }))
  end)

  it("decodes it once", function()
    assert.equal("true\n", prints({ ["x.json"] = "{}" }, { "-e", "print(require './x' == require './x.json')" }))
  end)

  it("says what is wrong with it and where", function()
    local result, folder = run({ ["x.json"] = "[1,]" }, { "-e", "print(select(2, pcall(require, './x')))" })
    assert.matches(
      ("error loading module './x' from file '%s/x.json':\n\tERR_INVALID_JSON: unexpected ']' at byte 4"):format(folder),
      result.stdout,
      1,
      true
    )
  end)

  it("says that an empty one has no value", function()
    local result = run({ ["x.json"] = "" }, { "-e", "require './x'" })
    assert.matches("unexpected end of text", result.stderr, 1, true)
    assert.equal(1, result.status)
  end)

  it("does not need the global io", function()
    assert.equal("1\n", prints({ ["x.json"] = "1" }, { "-e", "local print = print io = nil print((require './x'))" }))
  end)
end)

describe("require of any other name", function()
  it("goes by package.path", function()
    assert.equal("m\t./m.lua\n", prints({ ["m.lua"] = "return 'm'" }, { "-e", "print(require 'm')" }))
  end)

  it("goes by package.preload first", function()
    assert.equal("5\t:preload:\n", prints({ ["m.lua"] = "" }, {
      "-e",
      "package.preload.m = function() return 5 end print(require 'm')",
    }))
  end)

  it("goes by the searchers of the program", function()
    local code = [[
      table.insert(package.searchers, 1, function(name)
        return function() return "mine" end, "./" .. name
      end)
      print(require "m")
    ]]
    assert.equal("mine\t./m\n", prints({}, { "-e", code }))
  end)

  it("takes what is in package.loaded", function()
    assert.equal("5\n", prints({}, { "-e", "package.loaded.m = 5 print(require 'm')" }))
  end)

  it("finds a name that begins with a dot as it stands", function()
    local result = run({ [".hidden.lua"] = "" }, { "-e", "print(select(2, pcall(require, '.hidden')))" })
    assert.matches("module '.hidden' not found:\n\tno field package.preload['.hidden']", result.stdout, 1, true)
  end)
end)
