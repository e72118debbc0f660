local utf8_decoder = require "mw.stream.utf8_decoder"

-- What comes out for chunks, and at the end.
local function decoded(...)
  local decode = utf8_decoder.new()
  local pieces = {}
  for _, chunk in ipairs { ... } do
    pieces[#pieces + 1] = decode(chunk)
  end
  return pieces, decode(nil)
end

describe("a UTF-8 decoder", function()
  local text = "aß€𝄞 Ünïcödé 漢字 🙂!"

  it("lets whole text through at once", function()
    assert.same({ text }, (decoded(text)))
    assert.same({ "plain", " text" }, (decoded("plain", " text")))
  end)

  it("cuts no character, wherever the text is split in two", function()
    for split = 0, #text do
      local pieces, rest = decoded(text:sub(1, split), text:sub(split + 1))
      assert.equal(text, table.concat(pieces))
      assert.equal("", rest)
      for _, piece in ipairs(pieces) do
        assert.is_truthy(utf8.len(piece), "split at " .. split)
      end
    end
  end)

  it("cuts no character, wherever the text is split in three", function()
    for first = 0, #text do
      for second = first, #text do
        local pieces, rest = decoded(text:sub(1, first), text:sub(first + 1, second), text:sub(second + 1))
        assert.equal(text, table.concat(pieces) .. rest)
        for _, piece in ipairs(pieces) do
          assert.is_truthy(utf8.len(piece))
        end
      end
    end
  end)

  it("cuts no character of text that comes byte by byte", function()
    local decode = utf8_decoder.new()
    local whole = {}
    for byte in text:gmatch "." do
      local piece = decode(byte)
      assert.is_truthy(utf8.len(piece))
      whole[#whole + 1] = piece
    end
    assert.equal(text, table.concat(whole) .. decode(nil))
  end)

  it("holds back what begins a character and nothing else", function()
    for _, case in ipairs {
      { "a\xC3", "a" },
      { "a\xE2", "a" },
      { "a\xE2\x82", "a" },
      { "a\xF0", "a" },
      { "a\xF0\x9D", "a" },
      { "a\xF0\x9D\x84", "a" },
    } do
      assert.same({ case[2] }, (decoded(case[1])))
    end
  end)

  it("gives the beginning of a character at the end, as it is", function()
    local pieces, rest = decoded "a\xE2\x82"
    assert.same({ "a" }, pieces)
    assert.equal("\xE2\x82", rest)
  end)

  it("lets bytes through that are no UTF-8", function()
    for _, bytes in ipairs { "\xFF", "\x80", "\xC0", "\xC1", "\xF5", "a\x80\x80\x80\x80", "\xC3\xC3a", "\xF0\x9Da" } do
      local pieces, rest = decoded(bytes)
      assert.equal(bytes, table.concat(pieces) .. rest)
      assert.equal("", rest)
    end
  end)

  it("changes no byte of random bytes in random pieces", function()
    local seed = 42
    local function random(limit)
      seed = (seed * 1103515245 + 12345) % 2147483648
      return (seed >> 8) % limit
    end
    for _ = 1, 200 do
      local decode = utf8_decoder.new()
      local came, went = {}, {}
      for _ = 1, 20 do
        local chunk = {}
        for index = 1, random(6) do
          chunk[index] = string.char(random(256))
        end
        came[#came + 1] = table.concat(chunk)
        went[#went + 1] = decode(came[#came])
      end
      went[#went + 1] = decode(nil)
      assert.equal(table.concat(came), table.concat(went))
    end
  end)
end)
