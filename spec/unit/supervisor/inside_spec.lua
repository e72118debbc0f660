-- What a supervised worker finds changed: nothing that it could notice.

local process = require "mw.process"
local scratch = require "spec.support.scratch"
local run_mwrun = require "spec.support.run_mwrun"

local code = [=[
  local function show(...)
    local parts = table.pack(...)
    for index = 1, parts.n do
      parts[index] = tostring(parts[index]):gsub("0x%x+", "ADDRESS")
    end
    print(table.concat(parts, " ", 1, parts.n))
  end

  local add = coroutine.wrap(function(a, b)
    while true do
      a, b = coroutine.yield(a + b, nil, b)
    end
  end)
  show(add(1, 2))
  show(add(3, 4))
  show(pcall(add, {}, 1))
  show(pcall(add, 1, 1))

  local values = coroutine.wrap(function() return 1, nil, nil end)
  show(select("#", values()))
  show(pcall(values))

  for _, raised in ipairs { "text", 7, true, setmetatable({}, { __tostring = function() return "an object" end }) } do
    local failing = coroutine.wrap(function() error(raised) end)
    show(pcall(failing))
    show(pcall(function() return (failing()) end))
  end
  show(pcall(function()
    local x = coroutine.wrap(function() error "seen from Lua" end)()
    return x
  end))

  local closing = coroutine.wrap(function()
    local guard <close> = setmetatable({}, { __close = function(_, err) show("closed with", err) end })
    error "in between"
  end)
  show(pcall(closing))
  local worse = coroutine.wrap(function()
    local guard <close> = setmetatable({}, { __close = function() error("while closing", 0) end })
    error "in between"
  end)
  show(pcall(worse))

  local itself
  itself = coroutine.wrap(function() return pcall(itself) end)
  show(itself())
  show(coroutine.resume(coroutine.create(function(...) return ... end), 1, nil, 3))
  local dead = coroutine.create(function() end)
  coroutine.resume(dead)
  show(coroutine.resume(dead))
  show((pcall(coroutine.resume, 7)))
  show((pcall(coroutine.wrap, 7)))
  show(coroutine.resume(coroutine.running()))
  local letters = {}
  for letter in coroutine.wrap(function() for l in ("abc"):gmatch "." do coroutine.yield(l) end end) do
    letters[#letters + 1] = letter
  end
  show(table.concat(letters))
]=]

local function run(before)
  local folder = scratch.new()
  local result = run_mwrun { "-e", before, folder:write("coroutines.lua", code) }
  local output = result.stdout:gsub(folder.path:gsub("%p", "%%%0"), "")
  folder:remove()
  assert.equal("", result.stderr)
  return output
end

describe("Coroutines in a supervised worker", function()
  it("behave as in lua", function()
    local expected = run ""
    assert.matches("abc\n$", expected)
    assert.equal(expected, run 'require("mw.supervisor.inside").note_coroutines()')
  end)
end)

describe("A process that is not supervised", function()
  it("starts nothing, and keeps its coroutines", function()
    local result = run_mwrun {
      "-e",
      [[
        local resume = coroutine.resume
        require "mw.supervisor.inside"
        print(coroutine.resume == resume)
      ]],
    }
    assert.equal("true\n", result.stdout)
    assert.is_nil(process.env.MW_SUPERVISED)
  end)
end)
