local json = require "mw.json"

-- What encode raises, without the position.
local function refusal(value)
  local ok, message = pcall(json.encode, value)
  assert.is_false(ok)
  return (message:gsub("^[^:]*:%d+: ", ""))
end

local function mistake(text)
  local value, err = json.decode(text)
  assert.is_nil(value)
  assert.equal("ERR_INVALID_JSON", err.code)
  return (tostring(err):gsub("^ERR_INVALID_JSON: ", ""))
end

local function nested(depth)
  local value = {}
  for _ = 2, depth do
    value = { value }
  end
  return value
end

describe("json.encode", function()
  it("writes booleans and null", function()
    assert.equal("true", json.encode(true))
    assert.equal("false", json.encode(false))
    assert.equal("null", json.encode(json.null))
  end)

  it("writes integers in full", function()
    assert.equal("0", json.encode(0))
    assert.equal("-1", json.encode(-1))
    assert.equal("9223372036854775807", json.encode(math.maxinteger))
    assert.equal("-9223372036854775808", json.encode(math.mininteger))
  end)

  it("writes floats so that they stay floats", function()
    assert.equal("3.0", json.encode(3.0))
    assert.equal("0.0", json.encode(0.0))
    assert.equal("-0.0", json.encode(-0.0))
    assert.equal("9007199254740992.0", json.encode(2.0 ^ 53))
    assert.equal("100000000000000000000.0", json.encode(1e20))
  end)

  it("writes floats with as few digits as come back as the same float", function()
    for _, text in ipairs {
      "0.1", "0.3", "1.5", "-2.25", "123.456", "0.000001", "1e-7", "1e+21", "1e+300", "5e-324", "0.30000000000000004",
      "1.7976931348623157e+308", "2.2250738585072014e-308", "5.684341886080802e-14", "9.5367431640625e-7",
      "123456789012345.67", "12345678901234567000.0", "-1.2345678901234567e-200",
    } do
      assert.equal(text, json.encode(tonumber(text)))
    end
  end)

  it("writes NaN and the infinities as null", function()
    assert.equal("[null,null,null]", json.encode { 0 / 0, math.huge, -math.huge })
  end)

  it("escapes quotes, backslashes and control characters only", function()
    assert.equal([["\"\\/\b\f\n\r\t\u0000\u001f]] .. '\127"', json.encode '"\\/\b\f\n\r\t\0\31\127')
    assert.equal('"\u{2028}\u{2029}é€𝄞"', json.encode "\u{2028}\u{2029}é€𝄞")
  end)

  it("writes a table with the keys 1..n as an array", function()
    assert.equal("[1,2,[3]]", json.encode { 1, 2, { 3 } })
    local backwards = {}
    for i = 20, 1, -1 do
      backwards[i] = i
    end
    assert.equal("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]", json.encode(backwards))
  end)

  it("writes every other table as an object", function()
    assert.equal("{}", json.encode {})
    assert.equal('{"a":{"b":1}}', json.encode { a = { b = 1 } })
    assert.equal('{"2":true}', json.encode { [2] = true })
    assert.equal('{"0":true}', json.encode { [0] = true })
    assert.same({ ["1"] = 1, x = 2 }, json.decode(json.encode { 1, x = 2 }))
    assert.same({ ["1"] = 1, ["3"] = 3 }, json.decode(json.encode { 1, nil, 3 }))
  end)

  it("writes keys that are numbers as text", function()
    assert.equal('{"-9223372036854775808":1}', json.encode { [math.mininteger] = 1 })
    assert.equal('{"1.5":1}', json.encode { [1.5] = 1 })
    assert.equal('{"-Infinity":1}', json.encode { [-math.huge] = 1 })
  end)

  it("reads tables raw", function()
    local proxy = setmetatable({ a = 1 }, {
      __index = { 1 },
      __len = error,
      __pairs = error,
    })
    assert.equal('{"a":1}', json.encode(proxy))
  end)

  it("takes the same table at two places", function()
    local shared = { 1 }
    assert.equal("[[1],[1]]", json.encode { shared, shared })
  end)

  it("takes 1000 levels and no more", function()
    assert.equal(("["):rep(999) .. "{}" .. ("]"):rep(999), json.encode(nested(1000)))
    assert.matches("^json.encode: cannot encode value%[1%].*%.%.%..*: the table is nested", refusal(nested(1001)))
  end)

  it("names the path to what it cannot encode", function()
    local no_form = "values have no JSON form"
    local user = { 1, 2, print }
    assert.equal("json.encode: cannot encode value: function " .. no_form, refusal(print))
    assert.equal("json.encode: cannot encode value.user[3]: function " .. no_form, refusal { user = user })
    assert.equal("json.encode: cannot encode value.a: userdata " .. no_form, refusal { a = io.stdout })
    assert.equal("json.encode: cannot encode value[1.5]: thread " .. no_form, refusal { [1.5] = coroutine.create(print) })
    assert.equal('json.encode: cannot encode value["a b"]._c1: function ' .. no_form, refusal { ["a b"] = { _c1 = print } })
    assert.equal(
      [[json.encode: cannot encode value["\"\x0A\\é"][""]: function ]] .. no_form,
      refusal { ['"\n\\é'] = { [""] = print } }
    )
  end)

  it("cuts a long key in the path", function()
    local message = refusal { [("é"):rep(1000)] = print }
    assert.matches('value%["' .. ("é"):rep(20) .. '%.%.%."%]: function', message)
    assert.is_nil(json.decode(message))
  end)

  it("refuses keys that are neither strings nor numbers", function()
    assert.equal("json.encode: cannot encode value.a[true]: boolean keys have no JSON form", refusal { a = { [true] = 1 } })
    assert.equal("json.encode: cannot encode value[table]: table keys have no JSON form", refusal { [{}] = 1 })
  end)

  it("refuses a table that contains itself", function()
    local self = {}
    self.a = { b = { self } }
    assert.equal("json.encode: cannot encode value.a.b[1]: the table contains itself", refusal(self))
  end)

  it("refuses strings that are no UTF-8", function()
    for _, bytes in ipairs {
      "\x80", "\xff", "a\xc3", "\xc3(", "\xe2\x82", "\xf0\x9f\x92", -- broken
      "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", -- overlong
      "\xed\xa0\x80", "\xed\xbf\xbf", -- surrogates
      "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", -- above U+10FFFF
    } do
      assert.equal("json.encode: cannot encode value.a[1]: the string is not valid UTF-8", refusal { a = { bytes } })
      assert.equal("the key is not valid UTF-8", refusal { [bytes] = 1 }:match ": (the .*)")
      assert.matches("expected valid UTF%-8$", mistake('"' .. bytes .. '"'))
    end
  end)

  it("raises at the caller's line, naming the argument", function()
    local ok, message = pcall(function()
      json.encode(nil)
    end)
    assert.is_false(ok)
    assert.matches("json_spec.lua:%d+: json.encode: bad argument 'value'", message)
  end)

  it("writes the same again after a failure", function()
    refusal { "some text", print }
    assert.equal("[1]", json.encode { 1 })
  end)

  it("may be called by a finalizer at any time", function()
    local count = 0
    local function leave_garbage()
      setmetatable({}, {
        __gc = function()
          count = count + #json.encode { "from the finalizer" }
        end,
      })
    end
    local text = ("x"):rep(5000)
    for _ = 1, 200 do
      leave_garbage()
      assert.equal('["' .. text .. '"]', json.encode { text })
    end
    collectgarbage()
    assert.is_true(count > 0)
  end)
end)

describe("json.array", function()
  it("makes an empty table an array", function()
    assert.equal("[]", json.encode(json.array {}))
    assert.equal('{"a":[]}', json.encode { a = json.array {} })
  end)

  it("returns the table itself and may be called twice", function()
    local t = {}
    assert.equal(t, json.array(json.array(t)))
  end)

  it("writes nil as null and leaves other keys out", function()
    assert.equal("[1,null,3]", json.encode(json.array { 1, nil, 3, name = "x" }))
  end)

  it("raises at the caller's line, naming the argument", function()
    local ok, message = pcall(function()
      json.array "x"
    end)
    assert.is_false(ok)
    assert.matches("json_spec.lua:%d+: json.array: bad argument 't'", message)
  end)

  it("leaves a metatable in its place", function()
    local mine = setmetatable({}, {})
    assert.has_error(function()
      json.array(mine)
    end)
  end)
end)

describe("json.decode", function()
  it("reads every kind of value, with space around it", function()
    assert.equal(true, json.decode " true ")
    assert.equal(false, json.decode "\tfalse\r\n")
    assert.equal(json.null, json.decode "null")
    assert.equal("", json.decode '""')
    assert.same({ a = { 1, { b = "c" }, json.null } }, json.decode ' { "a" : [ 1 , { "b" : "c" } , null ] } ')
  end)

  it("keeps integers integers, as far as 64 bits go", function()
    assert.equal("integer", math.type(json.decode "12"))
    assert.equal(math.maxinteger, json.decode "9223372036854775807")
    assert.equal(math.mininteger, json.decode "-9223372036854775808")
    for _, text in ipairs { "9223372036854775808", "-9223372036854775809", "18446744073709551616", ("9"):rep(300) } do
      assert.equal("float", math.type(json.decode(text)))
      assert.equal(tonumber(text .. ".0"), json.decode(text))
    end
  end)

  it("keeps floats floats", function()
    for _, text in ipairs { "1.0", "1e2", "1E+2", "-0.0", "0e5", "1.5e-3", "2e308" } do
      assert.equal("float", math.type(json.decode(text)))
      assert.equal(tonumber(text), json.decode(text))
    end
  end)

  it("reads -0 as the float -0.0", function()
    assert.equal(-math.huge, 1 / json.decode "-0")
    assert.equal("float", math.type(json.decode "-0"))
  end)

  it("rounds numbers of any length correctly", function()
    local half = "1.00000000000000011102230246251565404236316680908203125" -- between 1.0 and the next float
    assert.equal(1.0, json.decode(half))
    assert.equal(1.0, json.decode(half .. ("0"):rep(2000)))
    assert.equal(1.0000000000000002, json.decode(half .. ("0"):rep(2000) .. "1"))
    assert.equal(1e-5, json.decode("0." .. ("0"):rep(3000) .. "1e2996"))
    assert.equal(1.0, json.decode("1" .. ("0"):rep(3000) .. "e-3000"))
    assert.equal(0.0, json.decode("1e-" .. ("9"):rep(50)))
    assert.equal(0.0, json.decode("0e" .. ("9"):rep(50)))
    assert.equal(math.huge, json.decode("1e" .. ("9"):rep(50)))
    assert.equal(5e-324, json.decode "2.4703282292062328e-324")
  end)

  it("reads escapes", function()
    assert.equal('"\\/\b\f\n\r\t', json.decode [["\"\\\/\b\f\n\r\t"]])
    assert.equal("\0A\u{e9}\u{20ac}\u{1d11e}", json.decode [["\u0000\u0041\u00e9\u20AC\uD834\udd1e"]])
    assert.equal("a\nb\u{10ffff}c", json.decode [["a\nb\udbff\udfffc"]])
  end)

  it("reads half a surrogate pair as U+FFFD", function()
    assert.equal("\u{fffd}", json.decode [["\ud834"]])
    assert.equal("\u{fffd}x", json.decode [["\udd1ex"]])
    assert.equal("\u{fffd}A", json.decode [["\ud834\u0041"]])
    assert.equal("\u{fffd}\u{1d11e}", json.decode [["\ud834\ud834\udd1e"]])
    assert.equal("\u{fffd}\n", json.decode [["\ud834\n"]])
  end)

  it("marks arrays, so that an empty one stays one", function()
    for _, text in ipairs { "[]", "{}", '{"a":[]}', "[[],{}]", "[null]" } do
      assert.equal(text, json.encode(json.decode(text)))
    end
  end)

  it("takes the last of equal keys", function()
    assert.same({ a = 2 }, json.decode '{"a":1,"a":2}')
    local pairs_of_text = {}
    for i = 1, 30 do
      pairs_of_text[i] = ('"k":%d'):format(i)
    end
    assert.same({ k = 30 }, json.decode("{" .. table.concat(pairs_of_text, ",") .. "}"))
  end)

  it("reads tables of every size", function()
    for size = 0, 70 do
      local array, object = json.array {}, {}
      for i = 1, size do
        array[i], object["k" .. i] = i, i
      end
      assert.same(array, json.decode(json.encode(array)))
      assert.same(object, json.decode(json.encode(object)))
      assert.equal(size, #json.decode(json.encode(array)))
    end
  end)

  it("takes 1000 levels and no more", function()
    assert.is_table(json.decode(("["):rep(1000) .. ("]"):rep(1000)))
    assert.equal("nested deeper than 1000 levels at byte 1001", mistake(("["):rep(1001) .. ("]"):rep(1001)))
    assert.equal("nested deeper than 1000 levels at byte 5001", mistake(('{"a":'):rep(100000)))
  end)

  it("says what it found where, and what it expected", function()
    for text, sentence in pairs {
      [""] = "unexpected end of text at byte 1, expected a value",
      ["  "] = "unexpected end of text at byte 3, expected a value",
      ["[1,2,x]"] = "unexpected 'x' at byte 6, expected a value",
      ["[1,]"] = "unexpected ']' at byte 4, expected a value",
      ["[1 2]"] = "unexpected '2' at byte 4, expected ',' or ']'",
      ["[1"] = "unexpected end of text at byte 3, expected ',' or ']'",
      ["{,}"] = "unexpected ',' at byte 2, expected a string as key or '}'",
      ['{"a":1,}'] = "unexpected '}' at byte 8, expected a string as key",
      ["{1:2}"] = "unexpected '1' at byte 2, expected a string as key or '}'",
      ['{"a" 1}'] = "unexpected '1' at byte 6, expected ':'",
      ['{"a":1 "b":2}'] = "unexpected '\"' at byte 8, expected ',' or '}'",
      ["1 2"] = "unexpected '2' at byte 3, expected the end of the text",
      ["01"] = "unexpected '1' at byte 2, expected the end of the text",
      ["1\0"] = "unexpected byte 0x00 at byte 2, expected the end of the text",
      ["-"] = "unexpected end of text at byte 2, expected a digit",
      ["+1"] = "unexpected '+' at byte 1, expected a value",
      [".5"] = "unexpected '.' at byte 1, expected a value",
      ["1.e3"] = "unexpected 'e' at byte 3, expected a digit",
      ["1e+x"] = "unexpected 'x' at byte 4, expected a digit",
      ["NaN"] = "unexpected 'N' at byte 1, expected a value",
      ["tru"] = "unexpected 't' at byte 1, expected a value",
      ["\u{feff}1"] = "unexpected byte 0xEF at byte 1, expected a value",
      ['"abc'] = "unexpected end of text at byte 5, expected '\"'",
      ['"a\nb"'] = "unexpected byte 0x0A at byte 3, expected an escape instead of the control character",
      ['"a\xffb"'] = "unexpected byte 0xFF at byte 3, expected valid UTF-8",
      [ [["\x"]] ] = "unexpected 'x' at byte 3, expected an escape such as \\n or \\u000A",
      [ [["\u00g0"]] ] = "unexpected 'g' at byte 6, expected a hexadecimal digit",
      [ [["\u00]] ] = "unexpected end of text at byte 6, expected a hexadecimal digit",
    } do
      assert.equal(sentence, mistake(text))
    end
  end)

  it("gives the offset in the error", function()
    local _, err = json.decode "[1,2,x]"
    assert.equal(6, err.offset)
  end)

  it("raises at the caller's line, naming the argument", function()
    local ok, message = pcall(function()
      json.decode(12)
    end)
    assert.is_false(ok)
    assert.matches("json_spec.lua:%d+: json.decode: bad argument 'text' %(string expected, got number%)", message)
  end)

  it("gives back what encode was given", function()
    for _ = 1, 2000 do
      local float = string.unpack("d", string.pack("j", math.random(0)))
      local integer = math.random(0) >> math.random(0, 63)
      assert.equal(integer, json.decode(json.encode(integer)))
      if float - float == 0 then
        assert.equal(float, json.decode(json.encode(float)))
      end
    end
  end)
end)
