local Queue = require "mw.stream.queue"

local function filled(...)
  local queue = Queue.new()
  for _, chunk in ipairs { ... } do
    queue:push(chunk)
  end
  return queue
end

-- All that is in a queue, taken in pieces of this size.
local function drained(queue, size)
  local pieces = {}
  while queue.length > 0 do
    pieces[#pieces + 1] = queue:take(math.min(size, queue.length))
  end
  return table.concat(pieces, "|")
end

describe("a byte queue", function()
  it("counts the bytes", function()
    local queue = filled("abc", "de")
    assert.equal(5, queue.length)
    queue:take(4)
    assert.equal(1, queue.length)
    queue:take(1)
    assert.equal(0, queue.length)
  end)

  it("gives the bytes in order, whatever the pieces", function()
    for size = 1, 8 do
      assert.equal("abcdefg", (drained(filled("abc", "d", "efg"), size):gsub("|", "")))
    end
    assert.equal("ab|cd|ef|g", drained(filled("abc", "d", "efg"), 2))
  end)

  it("gives nothing for none", function()
    assert.equal("", filled("a"):take(0))
    assert.equal("", Queue.new():take(0))
  end)

  it("gives what came as one chunk, or is left of it", function()
    local queue = filled("abc", "de")
    queue:take(1)
    assert.equal("bc", queue:take_chunk())
    assert.equal("de", queue:take_chunk())
    assert.equal(0, queue.length)
  end)

  it("shows bytes without taking them", function()
    local queue = filled("abc", "de")
    queue:take(1)
    assert.equal("bcd", queue:peek(3))
    assert.equal("bcde", queue:take(4))
  end)

  it("can be emptied and used again", function()
    local queue = filled("abc", "\nde")
    queue:take(1)
    queue:find_newline()
    queue:clear()
    assert.equal(0, queue.length)
    queue:push "x\n"
    assert.equal(2, queue:find_newline())
    assert.equal("x\n", queue:take(2))
  end)

  it("keeps nothing of what was taken", function()
    local queue = Queue.new()
    for number = 1, 10000 do
      queue:push(tostring(number))
      queue:take(#tostring(number))
    end
    local fields = 0
    for key in pairs(queue) do
      fields = fields + (type(key) == "number" and 1 or 0)
    end
    assert.equal(0, fields)
  end)

  describe("find_newline", function()
    it("counts the bytes up to the first newline and with it", function()
      assert.equal(1, filled("\n"):find_newline())
      assert.equal(3, filled("ab\ncd\n"):find_newline())
      assert.equal(5, filled("ab", "c", "d\n"):find_newline())
      assert.is_nil(filled("ab", "cd"):find_newline())
      assert.is_nil(Queue.new():find_newline())
    end)

    it("finds it after bytes were taken, and again", function()
      local queue = filled("ab\ncd", "ef\n")
      assert.equal(3, queue:find_newline())
      assert.equal(3, queue:find_newline())
      queue:take(1)
      assert.equal(2, queue:find_newline())
      queue:take(2)
      assert.equal(5, queue:find_newline())
      queue:take(5)
      assert.is_nil(queue:find_newline())
    end)

    it("finds it in what came after it has looked", function()
      local queue = filled "ab"
      assert.is_nil(queue:find_newline())
      queue:push "cd"
      assert.is_nil(queue:find_newline())
      queue:push "e\nf\n"
      assert.equal(6, queue:find_newline())
      queue:take(6)
      assert.equal(2, queue:find_newline())
    end)

    it("finds it where the bytes before it were taken after it has looked", function()
      local queue = filled("abc", "def")
      assert.is_nil(queue:find_newline())
      queue:take(4)
      queue:push "g\n"
      assert.equal(4, queue:find_newline())
      assert.equal("efg\n", queue:take(4))
    end)

    it("looks at each byte of a line once, in however many chunks it comes", function()
      local queue = Queue.new()
      local start = os.clock()
      for _ = 1, 50000 do
        queue:push "x"
        assert(queue:find_newline() == nil)
      end
      queue:push "\n"
      assert.equal(50001, queue:find_newline())
      assert.is_true(os.clock() - start < 2)
    end)
  end)

  describe("whole_characters", function()
    -- One, two, three and four bytes.
    local text = "aäŀ€𝄞z"

    it("never cuts a character, and takes one at least", function()
      local starts = {}
      for position in utf8.codes(text) do
        starts[position] = true
      end
      starts[#text + 1] = true
      for count = 1, #text do
        local size = filled(text):whole_characters(count)
        assert.is_true(size >= 1)
        assert.is_true(starts[size + 1], "cut at " .. size)
        assert.is_true(size <= count or not starts[count + 1])
      end
    end)

    it("does so across chunks", function()
      for split = 1, #text - 1 do
        for count = 1, #text do
          local queue = filled(text:sub(1, split), text:sub(split + 1))
          assert.equal(filled(text):whole_characters(count), queue:whole_characters(count))
        end
      end
    end)

    it("takes all that is there for more than is there", function()
      assert.equal(3, filled("€"):whole_characters(100))
    end)

    it("ends on bytes that are no characters", function()
      local size = filled(("\x80"):rep(20)):whole_characters(2)
      assert.is_true(size >= 1 and size <= 20)
    end)
  end)
end)
