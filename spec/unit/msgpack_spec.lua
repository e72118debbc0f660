local json = require "mw.json"
local msgpack = require "mw.msgpack"

local null = require("mw").null

local function hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("%02x "):format(byte:byte())
  end):sub(1, -2))
end

local function bytes(text)
  return (text:gsub("%s+", ""):gsub("%x%x", function(digits)
    return string.char(tonumber(digits, 16))
  end))
end

local function encoded(value)
  return hex(msgpack.encode(value))
end

local function decode(message)
  local value, err = msgpack.decode(message)
  assert.is_nil(err)
  return value
end

local function decoded(text)
  return decode(bytes(text))
end

local function round_trip(value)
  return decode(msgpack.encode(value))
end

-- What encode raises, without the position.
local function refusal(value)
  local ok, message = pcall(msgpack.encode, value)
  assert.is_false(ok)
  return (message:gsub("^[^:]*:%d+: ", ""))
end

local function mistake(message)
  local value, err = msgpack.decode(message)
  assert.is_nil(value)
  assert.equal("ERR_INVALID_MSGPACK", err.code)
  return (tostring(err):gsub("^ERR_INVALID_MSGPACK: ", ""))
end

local function nested(depth)
  local value = {}
  for _ = 2, depth do
    value = { value }
  end
  return value
end

-- Values and the only form in which they are written.
local vectors = {
  { null, "c0" },
  { false, "c2" },
  { true, "c3" },
  { 0, "00" },
  { 127, "7f" },
  { 128, "cc 80" },
  { 255, "cc ff" },
  { 256, "cd 01 00" },
  { 65535, "cd ff ff" },
  { 65536, "ce 00 01 00 00" },
  { 4294967295, "ce ff ff ff ff" },
  { 4294967296, "cf 00 00 00 01 00 00 00 00" },
  { math.maxinteger, "cf 7f ff ff ff ff ff ff ff" },
  { -1, "ff" },
  { -32, "e0" },
  { -33, "d0 df" },
  { -128, "d0 80" },
  { -129, "d1 ff 7f" },
  { -32768, "d1 80 00" },
  { -32769, "d2 ff ff 7f ff" },
  { -2147483648, "d2 80 00 00 00" },
  { -2147483649, "d3 ff ff ff ff 7f ff ff ff" },
  { math.mininteger, "d3 80 00 00 00 00 00 00 00" },
  { 0.0, "cb 00 00 00 00 00 00 00 00" },
  { -0.0, "cb 80 00 00 00 00 00 00 00" },
  { 1.0, "cb 3f f0 00 00 00 00 00 00" },
  { 1.5, "cb 3f f8 00 00 00 00 00 00" },
  { math.huge, "cb 7f f0 00 00 00 00 00 00" },
  { -math.huge, "cb ff f0 00 00 00 00 00 00" },
  { "", "a0" },
  { "a", "a1 61" },
  { "\0\xff\n", "a3 00 ff 0a" },
  { ("a"):rep(31), "bf" .. ("61"):rep(31) },
  { ("a"):rep(32), "d9 20" .. ("61"):rep(32) },
  { ("a"):rep(255), "d9 ff" .. ("61"):rep(255) },
  { ("a"):rep(256), "da 01 00" .. ("61"):rep(256) },
  { ("a"):rep(65535), "da ff ff" .. ("61"):rep(65535) },
  { ("a"):rep(65536), "db 00 01 00 00" .. ("61"):rep(65536) },
  { json.array {}, "90" },
  { { 1, 2, 3 }, "93 01 02 03" },
  { { { "a" }, { true, null } }, "92 91 a1 61 92 c3 c0" },
  { {}, "80" },
  { { a = 1 }, "81 a1 61 01" },
  { { a = { b = {} } }, "81 a1 61 81 a1 62 80" },
  { { [2] = 1 }, "81 02 01" },
  { { [-1] = "x" }, "81 ff a1 78" },
  { { [1.5] = 1 }, "81 cb 3f f8 00 00 00 00 00 00 01" },
  { { [true] = false }, "81 c3 c2" },
}

describe("msgpack", function()
  it("writes every kind of value in its shortest form, and reads it", function()
    for _, vector in ipairs(vectors) do
      local value, text = vector[1], hex(bytes(vector[2]))
      assert.equal(text, encoded(value))
      local back = decoded(text)
      assert.same(value, back)
      assert.equal(math.type(value), math.type(back))
    end
    assert.equal(-math.huge, 1 / decoded(encoded(-0.0)))
  end)

  it("keeps NaN", function()
    local nan = round_trip(0 / 0)
    assert.is_true(nan ~= nan)
    local text = "cb 7f f8 00 00 de ad be ef"
    assert.equal(text, encoded(decoded(text)))
  end)

  it("keeps integers and floats apart", function()
    for _, value in ipairs { 1, 1.0, 2 ^ 53, 1 << 53, -1.0, 1e300 } do
      assert.equal(math.type(value), math.type(round_trip(value)))
      assert.equal(value, round_trip(value))
    end
  end)

  it("keeps the type of every key", function()
    local value = { [1] = "a", ["1"] = "b", [1.5] = "c", [true] = "d", [false] = "e", [""] = "f", [-7] = "g" }
    assert.same(value, round_trip(value))
    local large = { [math.maxinteger] = 1, [math.mininteger] = 2, [math.huge] = 3, [-math.huge] = 4, [2.0 ^ 63] = 5 }
    assert.same(large, round_trip(large))
  end)

  it("keeps tables of every size", function()
    for _, size in ipairs { 0, 1, 2, 15, 16, 17, 100, 513, 65535, 65536 } do
      local array, map = json.array {}, {}
      for i = 1, size do
        array[i], map["k" .. i] = i, i
      end
      assert.same(array, round_trip(array))
      assert.same(map, round_trip(map))
    end
  end)

  it("gives arrays and maps the heads of their sizes", function()
    local array, map = {}, {}
    for i = 1, 16 do
      array[i], map[-i] = 0, 0
    end
    assert.equal("dc 00 10 00", encoded(array):sub(1, 11))
    assert.equal("de 00 10", encoded(map):sub(1, 8))
    for i = 17, 65536 do
      array[i], map[-i] = 0, 0
    end
    assert.equal("dd 00 01 00 00 00", encoded(array):sub(1, 17))
    assert.equal("df 00 01 00 00", encoded(map):sub(1, 14))
  end)

  it("keeps an empty array and an empty table apart", function()
    local value = round_trip { list = json.array {}, map = {} }
    assert.equal('{}', json.encode(value.map))
    assert.equal('[]', json.encode(value.list))
    assert.is_nil(getmetatable(value.map))
    assert.equal("90", encoded(value.list))
  end)

  it("leaves other arrays without a mark", function()
    assert.is_nil(getmetatable(round_trip { 1 }))
    assert.is_nil(getmetatable(round_trip(json.array { 1 })))
  end)

  it("takes a table with holes for a map, so that it comes back the same", function()
    for _, value in ipairs { { 1, nil, 3 }, { nil, 2 }, { 1, 2, nil, 4 }, { 1, 2, x = 3 }, { [0] = 0, 1, 2, nil, 4 } } do
      assert.same(value, round_trip(value))
    end
  end)

  it("writes the holes of a marked array as nil", function()
    assert.equal("93 01 c0 03", encoded(json.array { 1, nil, 3, name = "x" }))
    assert.same({ 1, null, 3 }, round_trip(json.array { 1, nil, 3 }))
  end)

  it("finds an array in whatever order it was made", function()
    local backwards = {}
    for i = 20, 1, -1 do
      backwards[i] = i
    end
    backwards.x = 1
    backwards.x = nil
    assert.equal("dc 00 14 01 02 03", encoded(backwards):sub(1, 17))
  end)

  it("gives back what it was given, deep and random", function()
    local function random_key()
      local key = math.random(0) >> math.random(0, 63)
      return ({ key, key * 0.5, ("k"):rep(key % 50), key % 2 == 0 })[math.random(4)]
    end
    local function random_value(depth)
      local kind = math.random(depth > 0 and 8 or 5)
      if kind == 1 then
        return math.random(0) >> math.random(0, 63)
      elseif kind == 2 then
        return -(math.random(0) >> math.random(1, 63))
      elseif kind == 3 then
        return math.random() * 10.0 ^ math.random(-300, 300)
      elseif kind == 4 then
        return string.pack("j", math.random(0)):rep(math.random(0, 40))
      elseif kind == 5 then
        return ({ true, false, null })[math.random(3)]
      end
      local value = {}
      for i = 1, math.random(0, 20) do
        value[kind == 6 and i or random_key()] = random_value(depth - 1)
      end
      return value
    end
    for _ = 1, 300 do
      local value = random_value(4)
      assert.same(value, round_trip(value))
    end
  end)
end)

describe("msgpack.encode", function()
  it("reads tables raw", function()
    local proxy = setmetatable({ a = 1 }, { __index = { 1 }, __len = error, __pairs = error })
    assert.equal("81 a1 61 01", encoded(proxy))
  end)

  it("takes the same table at two places", function()
    local shared = { 1 }
    assert.equal("92 91 01 91 01", encoded { shared, shared })
  end)

  it("takes 1000 levels and no more", function()
    assert.equal(("\x91"):rep(999) .. "\x80", msgpack.encode(nested(1000)))
    assert.matches("^msgpack.encode: cannot encode value%[1%].*%.%.%..*: the table is nested", refusal(nested(1001)))
  end)

  it("names the path to what it cannot encode", function()
    local no_form = "values have no MessagePack form"
    local user = { 1, 2, print }
    assert.equal("msgpack.encode: cannot encode value: function " .. no_form, refusal(print))
    assert.equal("msgpack.encode: cannot encode value.user[3]: function " .. no_form, refusal { user = user })
    assert.equal("msgpack.encode: cannot encode value.a: userdata " .. no_form, refusal { a = io.stdout })
    assert.equal("msgpack.encode: cannot encode value[1.5]: thread " .. no_form, refusal { [1.5] = coroutine.create(print) })
    assert.equal("msgpack.encode: cannot encode value[true]: function " .. no_form, refusal { [true] = print })
    assert.equal(
      [[msgpack.encode: cannot encode value["\xFF\x0A"].b: function ]] .. no_form,
      refusal { ["\xff\n"] = { b = print } }
    )
  end)

  it("refuses keys that are neither strings nor numbers nor booleans", function()
    local no_form = "keys have no MessagePack form"
    assert.equal("msgpack.encode: cannot encode value.a[table]: table " .. no_form, refusal { a = { [{}] = 1 } })
    assert.equal("msgpack.encode: cannot encode value[userdata]: userdata " .. no_form, refusal { [null] = 1 })
  end)

  it("refuses a table that contains itself", function()
    local self = {}
    self.a = { b = { self } }
    assert.equal("msgpack.encode: cannot encode value.a.b[1]: the table contains itself", refusal(self))
  end)

  it("refuses more than 256 MiB", function()
    local long = ("x"):rep(1 << 20)
    local list = {}
    for i = 1, 256 do
      list[i] = long
    end
    assert.equal("msgpack.encode: cannot encode value[256]: the message is larger than 256 MiB", refusal(list))
  end)

  it("raises at the caller's line, naming the argument", function()
    local ok, message = pcall(function()
      msgpack.encode(nil)
    end)
    assert.is_false(ok)
    assert.matches("msgpack_spec.lua:%d+: msgpack.encode: bad argument 'value'", message)
  end)

  it("writes the same again after a failure", function()
    refusal { "some text", print }
    assert.equal("91 01", encoded { 1 })
  end)

  it("may be called by a finalizer at any time", function()
    local count = 0
    local text = ("x"):rep(5000)
    for _ = 1, 200 do
      setmetatable({}, {
        __gc = function()
          count = count + #msgpack.encode { "from the finalizer" }
        end,
      })
      assert.same({ text }, round_trip { text })
    end
    collectgarbage()
    assert.is_true(count > 0)
  end)
end)

describe("msgpack.decode", function()
  it("reads forms that are longer than needed", function()
    for text, value in pairs {
      ["cc 01"] = 1, ["cd 00 01"] = 1, ["ce 00 00 00 01"] = 1, ["cf 00 00 00 00 00 00 00 01"] = 1,
      ["d0 01"] = 1, ["d1 ff ff"] = -1, ["d2 ff ff ff ff"] = -1, ["d3 ff ff ff ff ff ff ff ff"] = -1,
      ["d9 01 61"] = "a", ["da 00 01 61"] = "a", ["db 00 00 00 01 61"] = "a",
    } do
      assert.equal(value, decoded(text))
      assert.equal(math.type(value), math.type(decoded(text)))
    end
    assert.same({ 1 }, decoded "dc 00 01 01")
    assert.same({ 1 }, decoded "dd 00 00 00 01 01")
    assert.same({ a = 1 }, decoded "de 00 01 a1 61 01")
    assert.same({ a = 1 }, decoded "df 00 00 00 01 a1 61 01")
    assert.equal("90", encoded(decoded "dc 00 00"))
    assert.equal("80", encoded(decoded "de 00 00"))
  end)

  it("reads binary data as a string", function()
    assert.equal("", decoded "c4 00")
    assert.equal("\0\xff", decoded "c4 02 00 ff")
    assert.equal("\0\xff", decoded "c5 00 02 00 ff")
    assert.equal("\0\xff", decoded "c6 00 00 00 02 00 ff")
    assert.same({ k = 1 }, decoded "81 c4 01 6b 01")
  end)

  it("reads floats of 32 bits", function()
    assert.equal(1.5, decoded "ca 3f c0 00 00")
    assert.equal("float", math.type(decoded "ca 3f 80 00 00"))
    assert.equal(-math.huge, decoded "ca ff 80 00 00")
  end)

  it("reads integers beyond the largest as floats", function()
    assert.equal(2.0 ^ 63, decoded "cf 80 00 00 00 00 00 00 00")
    assert.equal(2.0 ^ 64, decoded "cf ff ff ff ff ff ff ff ff")
    assert.equal("float", math.type(decoded "cf 80 00 00 00 00 00 00 00"))
  end)

  it("takes the last of equal keys", function()
    assert.same({ a = 2 }, decoded "82 a1 61 01 a1 61 02")
    assert.same({ 2 }, decoded "82 01 01 cb 3f f0 00 00 00 00 00 00 02")
  end)

  it("takes 1000 levels and no more", function()
    assert.is_table(msgpack.decode(("\x91"):rep(999) .. "\x90"))
    assert.equal("nested deeper than 1000 levels at byte 1001", mistake(("\x91"):rep(1000) .. "\x90"))
    assert.equal("nested deeper than 1000 levels at byte 2001", mistake(("\x81\1"):rep(100000)))
    assert.equal("nested deeper than 1000 levels at byte 1001", mistake(("\x91"):rep(1000) .. "\x80"))
  end)

  it("says what it found where, and what it expected", function()
    for text, sentence in pairs {
      [""] = "unexpected end of message at byte 1, expected a value",
      ["01 02"] = "unexpected byte 0x02 at byte 2, expected the end of the message",
      ["c1"] = "unexpected byte 0xC1 at byte 1, expected a value",
      ["92 01 c1"] = "unexpected byte 0xC1 at byte 3, expected a value",
      ["cd 01"] = "unexpected end of message at byte 3, expected the rest of the value",
      ["ca 01 02 03"] = "unexpected end of message at byte 5, expected the rest of the value",
      ["d3"] = "unexpected end of message at byte 2, expected the rest of the value",
      ["a3 61"] = "unexpected end of message at byte 3, expected the rest of the string",
      ["da 00"] = "unexpected end of message at byte 3, expected the rest of the value",
      ["c6 ff ff ff ff 00"] = "unexpected end of message at byte 7, expected the rest of the string",
      ["92 01"] = "unexpected end of message at byte 3, expected the rest of the array",
      ["92 a1 61"] = "unexpected end of message at byte 4, expected a value",
      ["dd ff ff ff ff 00"] = "unexpected end of message at byte 7, expected the rest of the array",
      ["81 01"] = "unexpected end of message at byte 3, expected the rest of the map",
      ["82 a1 61 01 02"] = "unexpected end of message at byte 6, expected a value",
      ["df ff ff ff ff 00"] = "unexpected end of message at byte 7, expected the rest of the map",
      ["81 c0 01"] = "unexpected byte 0xC0 at byte 2, expected a string, a number or a boolean as key",
      ["81 90 01"] = "unexpected byte 0x90 at byte 2, expected a string, a number or a boolean as key",
      ["81 80 01"] = "unexpected byte 0x80 at byte 2, expected a string, a number or a boolean as key",
      ["81 de 00 00 01"] = "unexpected byte 0xDE at byte 2, expected a string, a number or a boolean as key",
      ["81 cb 7f f8 00 00 00 00 00 00 01"] = "unexpected byte 0xCB at byte 2, expected a key that is not NaN",
      ["81 ca 7f c0 00 00 01"] = "unexpected byte 0xCA at byte 2, expected a key that is not NaN",
    } do
      assert.equal(sentence, mistake(bytes(text)))
    end
  end)

  it("refuses extension types", function()
    for text in ("c7 c8 c9 d4 d5 d6 d7 d8"):gmatch "%x+" do
      assert.equal(
        "unexpected extension type at byte 2, expected a value that Lua has",
        mistake(bytes("91" .. text .. ("00"):rep(40)))
      )
    end
  end)

  it("gives the offset in the error", function()
    local _, err = msgpack.decode "\x92\x01\xc1"
    assert.equal(3, err.offset)
  end)

  it("takes every value that is cut short for a mistake", function()
    for _, vector in ipairs(vectors) do
      local whole = bytes(vector[2])
      for length = math.max(0, #whole - 300), #whole - 1 do
        assert.matches("^unexpected end of message at byte " .. length + 1, mistake(whole:sub(1, length)))
      end
    end
  end)

  it("makes no table larger than the bytes that are left", function()
    collectgarbage()
    local before = collectgarbage "count"
    local claim = "\xdd\x00\x03\xff\xff"
    assert.matches("^unexpected end", mistake(claim:rep(900) .. ("\0"):rep(0x40000)))
    assert.matches("^unexpected end", mistake("\xdf\x0f\xff\xff\xff" .. ("\0"):rep(1000)))
    assert.is_true(collectgarbage "count" - before < 20000)
  end)

  it("refuses large maps of numbers that meet in one chain of Lua's", function()
    local function map(count, key)
      local parts = { string.pack(">I1I4", 0xdf, count) }
      for i = 1, count do
        parts[#parts + 1] = key(i) .. "\1"
      end
      return table.concat(parts)
    end
    local function multiple(i)
      return string.pack(">I1I8", 0xcf, i * 0x1ffff)
    end
    local function neighbour(i)
      return string.pack(">I1d", 0xcb, 1.5 + i * 2.0 ^ -51)
    end
    local function harmless(i)
      return string.pack(">I1d", 0xcb, i * 0.37)
    end
    local started = os.clock()
    assert.matches("expected keys that do not all collide$", mistake(map(100000, multiple)))
    assert.matches("expected keys that do not all collide$", mistake(map(100000, neighbour)))
    assert.is_true(os.clock() - started < 2)
    assert.is_table(msgpack.decode(map(512, neighbour)))
    assert.is_table(msgpack.decode(map(100000, harmless)))
  end)

  it("survives random bytes and changed messages", function()
    local list = { 1, 2.5, { a = json.array {}, b = null } }
    local whole = msgpack.encode { id = 1, cmd = "update", list = list, [7] = ("x"):rep(40) }
    for _ = 1, 20000 do
      local at = math.random(#whole)
      local changed = whole:sub(1, at - 1) .. string.char(math.random(0, 255)) .. whole:sub(at + 1)
      local value, err = msgpack.decode(changed)
      if value == nil then
        assert.equal("ERR_INVALID_MSGPACK", err.code)
      else
        assert.equal(#msgpack.encode(value), #msgpack.encode(round_trip(value)))
      end
    end
  end)

  it("raises at the caller's line, naming the argument", function()
    local ok, message = pcall(function()
      msgpack.decode(12)
    end)
    assert.is_false(ok)
    assert.matches("msgpack_spec.lua:%d+: msgpack.decode: bad argument 'bytes' %(string expected, got number%)", message)
  end)
end)
