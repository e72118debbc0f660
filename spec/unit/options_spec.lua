local misuse = require "spec.support.misuse"
local options = require "mw.options"

-- What a check says about a value, nil where it is right.
local function verdicts(check, values)
  local list = {}
  for index = 1, values.n or #values do
    list[index] = check(values[index]) or "right"
  end
  return list
end

local function all_right(check, values)
  for index, verdict in ipairs(verdicts(check, values)) do
    assert.equal("right", verdict, tostring(values[index]))
  end
end

local function all_wrong(check, values)
  for index, verdict in ipairs(verdicts(check, values)) do
    assert.not_equal("right", verdict, tostring(values[index]))
  end
end

describe("a check of", function()
  it("text takes strings without NUL bytes", function()
    all_right(options.text, { "", "a", "ä\n" })
    all_wrong(options.text, { "a\0b", "\0", 5, {}, true, print })
    assert.equal("string without NUL bytes", options.text(nil))
  end)

  it("names takes strings that are not empty", function()
    all_right(options.name, { "a", " " })
    all_wrong(options.name, { "", "a\0", 5, {} })
    assert.equal("non-empty string without NUL bytes", options.name "")
  end)

  it("bytes takes any string", function()
    all_right(options.bytes, { "", "\0" })
    all_wrong(options.bytes, { 5, {}, true })
  end)

  it("integers takes whole numbers in a range, whole floats too", function()
    local check = options.integer(0, 9)
    all_right(check, { 0, 9, 3.0 })
    all_wrong(check, { -1, 10, 1.5, "3", 0 / 0, math.huge, -math.huge, true, {} })
    assert.equal("integer from 0 to 9", check(10))
    assert.equal("integer of at least 1", options.integer(1)(0))
    all_right(options.integer(1), { math.maxinteger })
    all_right(options.integer(math.mininteger), { math.mininteger, 2 ^ 53 })
    all_wrong(options.integer(math.mininteger), { 2 ^ 63, 2 ^ 70 })
  end)

  it("sizes takes numbers from 0 up, infinity and fractions too", function()
    all_right(options.size, { 0, 0.5, 1e300, math.huge })
    all_wrong(options.size, { -1, -math.huge, 0 / 0, "1", {} })
  end)

  it("words takes those only", function()
    local check = options.one_of("rr", "none")
    all_right(check, { "rr", "none" })
    all_wrong(check, { "RR", "", 5 })
    assert.equal("'rr', 'none'", check "x")
    assert.is_string(check(nil))
  end)

  it("lists takes texts and numbers in order from 1", function()
    all_right(options.list, { {}, { "a" }, { "a", 5, "" } })
    all_wrong(options.list, { { a = 1 }, { "a", nil, "c" }, { {} }, { "a\0" }, "a", 5, { true } })
    assert.matches("item 2 is", options.list { "a", false })
  end)

  it("booleans, callbacks and tables takes these types", function()
    all_right(options.boolean, { true, false })
    all_wrong(options.boolean, { 0, "true" })
    all_right(options.callback, { print })
    all_wrong(options.callback, { {}, "f" })
    all_right(options.table, { {} })
    all_wrong(options.table, { "x" })
  end)
end)

describe("check", function()
  local schema = { timeout = options.size, cwd = options.name, shell = options.boolean }

  it("lets right options pass, and changes nothing", function()
    local given = { timeout = 5, cwd = "/", shell = false }
    options.check("f", given, schema)
    options.check("f", {}, schema)
    assert.same({ timeout = 5, cwd = "/", shell = false }, given)
  end)

  it("raises for an unknown key, and names one that is meant", function()
    local function message(given)
      return misuse(function()
        options.check("f", given, schema)
      end)
    end
    assert.equal("f: unknown option 'timout', did you mean 'timeout'?", message { timout = 5 })
    assert.equal("f: unknown option 'colour'", message { colour = 5 })
    assert.equal("f: unknown option '1'", message { "x" })
    assert.equal("f: unknown option 'true'", message { [true] = "x" })
  end)

  it("raises for a wrong value, and shows it", function()
    local function message(given)
      return misuse(function()
        options.check("f", given, schema)
      end)
    end
    assert.equal("f: bad option 'timeout' (number of at least 0 expected, got -1)", message { timeout = -1 })
    assert.equal("f: bad option 'cwd' (non-empty string without NUL bytes expected, got a table)", message { cwd = {} })
    assert.equal('f: bad option \'shell\' (boolean expected, got "yes")', message { shell = "yes" })
  end)
end)

describe("argument and optional", function()
  it("raise for a value that the check refuses", function()
    local message = misuse(function()
      options.argument("f", "size", nil, options.size)
    end)
    assert.equal("f: bad argument 'size' (number of at least 0 expected, got nil)", message)
    message = misuse(function()
      options.optional("f", "size", "x", options.size)
    end)
    assert.equal('f: bad argument \'size\' (number of at least 0 expected, got "x")', message)
  end)

  it("take what is right, and optional takes nil", function()
    options.argument("f", "size", 1, options.size)
    options.optional("f", "size", 1, options.size)
    options.optional("f", "size", nil, options.size)
  end)
end)

describe("show", function()
  it("cuts long strings off and quotes all of them", function()
    assert.equal('"a\\0b"', options.show "a\0b")
    assert.equal(('"%s"...'):format(("x"):rep(40)), options.show(("x"):rep(1000)))
  end)

  it("names the type of what has no text", function()
    assert.equal("a table", options.show {})
    assert.equal("a function", options.show(print))
    assert.equal("nil", options.show(nil))
    assert.equal("false", options.show(false))
    assert.equal("1.5", options.show(1.5))
  end)
end)
