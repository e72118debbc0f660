-- Names: of files, of what is shared between C files, of globals (none), and
-- the words that the house does not use.

local run_mwrun = require "spec.support.run_mwrun"
local sources = require "spec.support.sources"

local folders = { "runtime", "lua", "scripts", "spec" }

-- What lua itself has.
local standard_globals = [[
  _G _VERSION arg assert collectgarbage coroutine debug dofile error getmetatable io ipairs load loadfile math next os
  package pairs pcall print rawequal rawget rawlen rawset require select setmetatable string table tonumber tostring
  type utf8 warn xpcall
]]

local function globals_after(code)
  local result = run_mwrun {
    "-e",
    code .. " local names = {} for name in pairs(_G) do names[#names + 1] = name end"
      .. " table.sort(names) io.write(table.concat(names, ' '))",
  }
  assert.equal("", result.stderr)
  return result.stdout
end

describe("globals", function()
  local standard = standard_globals:gsub("%s+", " "):match "^ (.-) $"

  it("are those of lua", function()
    assert.equal(standard, globals_after "")
  end)

  it("stay so when everything is required", function()
    local code = { "require 'luv'" }
    for _, path in ipairs(sources.list("lua", "%.lua$")) do
      code[#code + 1] = ("require %q"):format(sources.module_name(path))
    end
    assert.equal(standard, globals_after(table.concat(code, " ")))
  end)
end)

describe("file names", function()
  local others = { ["CMakeLists.txt"] = true, ["README.md"] = true, ["version.h.in"] = true }

  for _, folder in ipairs(folders) do
    it("are in snake_case in " .. folder, function()
      for _, path in ipairs(sources.list(folder)) do
        for part in path:gmatch "[^/]+" do
          local name = part:gsub("%.[a-z0-9]+$", "")
          assert(others[part] or name:find "^[a-z][a-z0-9_]*$", path)
        end
      end
    end)
  end

  local programs = { ["runtime/main.c"] = true, ["runtime/compile.c"] = true }

  -- Files that are of one kind share a header: policy_sticky.c has policy.h.
  local function header_of(path)
    local stem = path:gsub("%.c$", "")
    while not sources.exists(stem .. ".h") and stem:find "_%w+$" do
      stem = stem:gsub("_%w+$", "")
    end
    return stem:gsub("^runtime/", "") .. ".h"
  end

  it("pair each C file with its header, which it includes first", function()
    for _, path in ipairs(sources.list("runtime", "%.c$")) do
      if not programs[path] then
        local header = header_of(path)
        assert.equal(('#include "%s"'):format(header), sources.read(path):match "^[^\n]*")
        assert.is_string(sources.read("runtime/" .. header))
      end
    end
  end)
end)

describe("what C files share", function()
  for _, path in ipairs(sources.list("runtime", "%.h$")) do
    it("begins with mw_ in " .. path, function()
      for line in sources.read(path):gmatch "[^\n]+" do
        local name = line:match "^%l[%w_ *]-([%w_]+)%(" or line:match "^struct ([%w_]+)" or line:match "^enum ([%w_]+)"
        assert(not name or name:find "^mw_" or name:find "^luaopen_mw_core_", line)
      end
    end)
  end
end)

describe("words", function()
  -- One word for one thing: master, worker, child.
  local unused = { "primary", "slave", "subprocess" }

  for _, folder in ipairs { "runtime", "lua", "scripts" } do
    it("are those of the house in " .. folder, function()
      for _, path in ipairs(sources.list(folder)) do
        local text = sources.read(path):lower()
        for _, word in ipairs(unused) do
          assert(not text:find(word, 1, true), path .. " says " .. word)
        end
      end
    end)
  end
end)
