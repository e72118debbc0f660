local LineSplitter = require "mw.supervisor.line_splitter"

local function lines_of(pieces)
  local lines = {}
  local splitter = LineSplitter.new(function(line)
    lines[#lines + 1] = line
  end)
  for _, piece in ipairs(pieces) do
    splitter:push(piece)
  end
  splitter:finish()
  return lines
end

describe("A line splitter", function()
  it("gives whole lines, however they are cut", function()
    local text = "one\n\ntwo\nthree"
    for size = 1, #text do
      local pieces = {}
      for first = 1, #text, size do
        pieces[#pieces + 1] = text:sub(first, first + size - 1)
      end
      assert.same({ "one", "", "two", "three" }, lines_of(pieces))
    end
  end)

  it("gives a rest without a line end, and none where there is none", function()
    assert.same({ "rest" }, lines_of { "rest" })
    assert.same({ "whole" }, lines_of { "whole\n" })
    assert.same({}, lines_of {})
  end)

  it("cuts what is longer than 64 KiB", function()
    local longest = 65536
    for _, length in ipairs { longest, longest + 1, 3 * longest, 3 * longest + 7 } do
      local lines = lines_of { ("x"):rep(length) .. "\n", "next\n" }
      assert.equal("next", table.remove(lines))
      assert.equal((length + longest - 1) // longest, #lines)
      assert.equal(length, #table.concat(lines))
      assert.equal(math.min(length, longest), #lines[1])
    end
  end)

  it("keeps no more than that of a line that never ends", function()
    local count = 0
    local splitter = LineSplitter.new(function()
      count = count + 1
    end)
    for _ = 1, 65536 do
      splitter:push "0123456789abcdef"
    end
    assert.equal(15, count)
  end)
end)
