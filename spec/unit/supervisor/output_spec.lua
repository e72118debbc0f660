local FakeClock = require "spec.support.fake_clock"
local Output = require "mw.supervisor.output"
local json = require "mw.json"

local label = { id = 7, slot = 2, pid = 4711 }

describe("The output of a worker", function()
  local clock, written

  before_each(function()
    clock, written = FakeClock.new(), {}
  end)

  local function new(form, budget)
    return Output.new(label, {
      form = form,
      budget = budget or 1000000,
      write = function(stream, text)
        written[#written + 1] = stream .. " " .. text
      end,
      now = function()
        return clock:now()
      end,
    })
  end

  it("is passed on line by line, each stream to its own", function()
    local output = new "plain"
    output:push("stdout", "one\ntw")
    output:push("stderr", "error\n")
    output:push("stdout", "o\n")
    assert.same({ "stdout one\n", "stderr error\n", "stdout two\n" }, written)
  end)

  it("has its last line passed on at the end, whole or not", function()
    local output = new "plain"
    output:push("stdout", "no line end")
    assert.same({}, written)
    output:finish()
    assert.same({ "stdout no line end\n" }, written)
  end)

  it("begins each line with the slot where it is prefixed", function()
    new("prefix"):push("stdout", "hello\n")
    assert.same({ "stdout [2] hello\n" }, written)
  end)

  it("can be a JSON object a line, whatever is in it", function()
    local output = new "json"
    output:push("stderr", 'say "hi"\tbl\xc3\xb6d \n')
    output:push("stdout", "\xff\xfe no text\n")
    local first = json.decode((written[1]:gsub("^stderr ", "")))
    assert.same({ id = 7, slot = 2, pid = 4711, stream = "stderr", line = 'say "hi"\tblöd ' }, first)
    assert.equal("\\xff\\xfe no text", json.decode((written[2]:gsub("^stdout ", ""))).line)
  end)

  it("is dropped and counted beyond its budget, until the next second", function()
    local output = new("plain", 12)
    output:push("stdout", "12345\n12345\n12345\n12345\n")
    assert.equal(2, #written)
    clock:advance(999)
    output:push("stdout", "12345\n")
    assert.equal(2, #written)
    clock:advance(1)
    output:push("stdout", "again\n")
    assert.same({ "stderr (3 lines more were dropped)\n", "stdout again\n" }, { written[3], written[4] })
  end)

  it("tells at the end how much was dropped", function()
    local output = new("plain", 1)
    output:push("stdout", "more\n")
    output:finish()
    assert.same({ "stderr (1 lines more were dropped)\n" }, written)
  end)

  it("is remembered as far as the last lines go, dropped or not", function()
    local output = new("plain", 1)
    for number = 1, 100 do
      output:push("stdout", number .. "\n")
    end
    local last = output:last_lines()
    assert.equal(50, #last)
    assert.same({ "51", "100" }, { last[1], last[50] })
    output:push("stderr", ("x"):rep(8000) .. "\n" .. ("y"):rep(500) .. "\n")
    assert.same({ ("y"):rep(500) }, output:last_lines())
  end)

  it("goes on where that of an earlier image has been, in the middle of lines", function()
    local before = new "plain"
    before:push("stdout", "one\ntw")
    before:push("stderr", "err")
    local output = new "plain"
    output:adopt(before:heritage())
    output:push("stdout", "o\n")
    output:push("stderr", "or\n")
    assert.same({ "stdout one\n", "stdout two\n", "stderr error\n" }, written)
    assert.same({ "one", "two", "error" }, output:last_lines())
  end)
end)
