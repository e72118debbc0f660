local errors = require "mw.error"
local misuse = require "spec.support.misuse"
local run_mwrun = require "spec.support.run_mwrun"

describe("an error object", function()
  it("has a code and a message, which is its text", function()
    local err = errors.new("ETEST", "ETEST: it is a test")
    assert.equal("ETEST", err.code)
    assert.equal("ETEST: it is a test", err.message)
    assert.equal("ETEST: it is a test", tostring(err))
    assert.is_true(errors.is_error(err))
  end)

  it("takes more fields, and changes no table for them", function()
    local fields = { path = "/x", code = "other" }
    local err = errors.new(7, "text", fields)
    assert.equal("/x", err.path)
    assert.equal(7, err.code)
    assert.same({ path = "/x", code = "other" }, fields)
  end)

  it("of the system names what was tried, as Node does", function()
    local err = errors.system("ENOENT", "spawn convert", { path = "convert" })
    assert.equal("ENOENT: no such file or directory, spawn convert", tostring(err))
    assert.equal("ENOENT", err.code)
    assert.equal(-2, err.errno)
    assert.equal("spawn convert", err.syscall)
    assert.equal("convert", err.path)
  end)

  it("of the system has a text for a name that it does not know", function()
    assert.equal("EWHAT: unknown error, open", tostring(errors.system("EWHAT", "open")))
  end)

  it("is made from what luv returns, with the code or without it", function()
    assert.equal("EACCES", errors.from_luv("EACCES: permission denied", "EACCES", "open x").code)
    assert.equal("EACCES: permission denied, open x", tostring(errors.from_luv("EACCES: permission denied: x", nil, "open x")))
    assert.equal("E2BIG", errors.from_luv("E2BIG: argument list too long", nil, "spawn").code)
    assert.equal("EPIPE", errors.from_luv("EPIPE", nil, "write").code)
    assert.equal("UNKNOWN", errors.from_luv("what is this", nil, "write").code)
  end)

  it("is told from other values", function()
    for _, value in ipairs { "text", 5, {}, false } do
      assert.is_false(errors.is_error(value))
    end
    assert.is_false(errors.is_error(nil))
  end)
end)

describe("misuse", function()
  it("raises at the line outside the library that made the call", function()
    local message = misuse(function()
      errors.misuse("f: bad argument '%s'", "x")
    end)
    assert.equal("f: bad argument 'x'", message)
  end)

  it("leaves a message without values alone", function()
    assert.equal("100%s", misuse(function()
      errors.misuse "100%s"
    end))
  end)

  it("looks past other functions of the library, and pcall", function()
    local timers = require "mw.timers"
    local _, err = pcall(timers.set_timeout, nil)
    assert.matches("^spec/unit/error_spec%.lua:%d+: set_timeout: ", err)
  end)

  it("raises without a position where there is no code outside", function()
    local ok, err = coroutine.resume(coroutine.create(require("mw.timers").set_timeout), nil)
    assert.is_false(ok)
    assert.matches("^set_timeout: bad argument", err)
  end)

  it("does so where the library is inside the binary, too", function()
    local result = run_mwrun({ "-e", "require('mw').timers.set_timeout()" }, { env = { PATH = os.getenv "PATH" } })
    assert.equal(1, result.status)
    assert.matches("^[^:]*: %(command line%):1: set_timeout: bad argument 'fn'", result.stderr)
  end)
end)
