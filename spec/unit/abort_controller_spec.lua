local errors = require "mw.error"
local mw = require "mw"
local uncaught = require "spec.support.uncaught"

describe("an abort controller", function()
  it("has a signal that is not aborted", function()
    local controller = mw.abort_controller()
    assert.is_false(controller.signal.aborted)
    assert.is_nil(controller.signal.reason)
  end)

  it("sets the state before it tells the listeners", function()
    local controller = mw.abort_controller()
    local signal = controller.signal
    local got
    signal:on("abort", function(...)
      got = { signal.aborted, signal.reason, ... }
    end)
    controller:abort "enough"
    assert.same({ true, "enough", "enough" }, got)
  end)

  it("has an ABORT_ERR as its reason where none is given", function()
    local controller = mw.abort_controller()
    controller:abort()
    assert.is_true(errors.is_error(controller.signal.reason))
    assert.equal("ABORT_ERR", controller.signal.reason.code)
  end)

  it("takes false for a reason", function()
    local controller = mw.abort_controller()
    controller:abort(false)
    assert.is_false(controller.signal.reason)
  end)

  it("aborts once, and keeps the first reason", function()
    local controller = mw.abort_controller()
    local calls = 0
    controller.signal:on("abort", function()
      calls = calls + 1
      controller:abort "from within"
    end)
    controller:abort "first"
    controller:abort "second"
    assert.equal(1, calls)
    assert.equal("first", controller.signal.reason)
  end)

  it("tells all listeners, also where one raises", function()
    local controller = mw.abort_controller()
    local called = false
    local list = uncaught(function()
      controller.signal:on("abort", error)
      controller.signal:on("abort", function()
        called = true
      end)
      controller:abort "boom"
    end)
    assert.is_true(called)
    assert.equal("boom", list[1].error)
  end)

  it("has nothing to do with another one", function()
    local one, other = mw.abort_controller(), mw.abort_controller()
    one:abort()
    assert.is_false(other.signal.aborted)
  end)

  it("can be waited for", function()
    local controller = mw.abort_controller()
    local task = mw.go(function()
      return controller.signal:wait "abort"
    end)
    mw.sleep(1)
    controller:abort "now"
    assert.equal("now", task:join())
  end)
end)
