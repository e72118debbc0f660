-- Every module of lua/, alone in a fresh process: one that needs another to be
-- loaded first shows here.

local process = require "mw.process"
local run_mwrun = require "spec.support.run_mwrun"
local sources = require "spec.support.sources"

-- The environment with another MWRUN_LUA_DIR, or none.
local function environment(directory)
  local env = {}
  for name, value in pairs(process.env) do
    env[name] = value
  end
  env.MWRUN_LUA_DIR = directory
  return env
end

-- What a fresh process says about a module: its type, where it came from.
local function load_alone(name, directory)
  local code = ("local module, where = require %q; io.write(type(module), ' ', where)"):format(name)
  local result = run_mwrun({ "-e", code }, { env = environment(directory) })
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

describe("every module loads alone", function()
  for _, path in ipairs(sources.list("lua", "%.lua$")) do
    local name = sources.module_name(path)
    local embedded_path = path:gsub("^lua/", "")
    -- A file that forgets its `return` gives `true`.
    local expected = name == "mw.abort_controller" and "function " or "table "

    it("from the binary: " .. name, function()
      assert.equal(expected .. embedded_path, load_alone(name, nil))
    end)

    it("from a folder: " .. name, function()
      local folder = process.cwd() .. "/lua"
      assert.equal(expected .. folder .. "/" .. embedded_path, load_alone(name, folder))
    end)
  end

  it("has no other modules than those of lua/", function()
    local result = run_mwrun({ "-e", "print(pcall(require, 'mw.no_such_module'))" }, { env = environment(nil) })
    assert.matches("^false\tmodule 'mw.no_such_module' not found:", result.stdout)
  end)
end)
