-- The memory behind Lua.

local is_sanitized = require "spec.support.is_sanitized"
local run_mwrun = require "spec.support.run_mwrun"

-- Runs code that may use `resident()`, in MiB.
local function run(code, opts)
  local result = run_mwrun({ "-e", [[
    local function resident()
      collectgarbage()
      local file <close> = io.open "/proc/self/status"
      return tonumber(file:read("a"):match "VmRSS:%s+(%d+)") / 1024
    end
    local function tables(count)
      local list = {}
      for index = 1, count do
        list[index] = {}
      end
      return list
    end
  ]] .. code }, opts)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

describe("Lua's memory", function()
  it("keeps what is in blocks that come, grow, shrink and go", function()
    assert.equal("true\n", run [[
      math.randomseed(1)
      local kept, sound = {}, true
      local function check(item)
        sound = sound and item.text == item.letter:rep(item.size) and #item.list == item.size % 50
        for index, value in ipairs(item.list) do
          sound = sound and value == item.size + index
        end
      end
      for _ = 1, 200000 do
        local place, size = math.random(500), math.random(0, 1200)
        if kept[place] then
          check(kept[place])
        end
        local letter = string.char(math.random(97, 122))
        local item = { letter = letter, size = size, text = letter:rep(size), list = {} }
        for index = 1, size % 50 do
          item.list[index] = size + index
        end
        kept[place] = item
      end
      print(sound)
    ]])
  end)

  it("serves other sizes when the blocks of one have gone", function()
    if is_sanitized() then
      return
    end
    for _, size in ipairs { 99, 4000 } do
      local before, after = run(([[
        local size = %d
        local list = tables(1000000)
        print(resident())
        list = nil
        collectgarbage()
        local texts = {}
        for index = 1, 40000000 // size do
          texts[index] = ("x"):rep(size - 8) .. ("%%08d"):format(index)
        end
        print(resident())
      ]]):format(size)):match "(%S+)\n(%S+)"
      assert.is_true(tonumber(before) > 50)
      assert.is_true(tonumber(after) < 1.2 * tonumber(before), ("%s, then %s"):format(before, after))
    end
  end)

  it("is an error when there is none, and there again when some has gone", function()
    if is_sanitized() then
      return
    end
    assert.equal("false\tnot enough memory\n1000\n", run([[
      print(pcall(tables, math.maxinteger))
      print(#tables(1000))
    ]], { limits = { as = 64 << 20 } }))
  end)
end)
