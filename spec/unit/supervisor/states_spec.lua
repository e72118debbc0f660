local states = require "mw.supervisor.states"

describe("The states of a worker", function()
  local function run(...)
    local state = "starting"
    for _, event in ipairs { ... } do
      state = states.step(state, event) or state
    end
    return state
  end

  it("lead from its start to its end", function()
    assert.equal("starting", run "online")
    assert.equal("ready", run("online", "ready"))
    assert.equal("stopping", run("online", "ready", "stop"))
    assert.equal("gone", run("online", "ready", "stop", "exit"))
  end)

  it("end with the process, whatever the state is", function()
    for _, before in ipairs { {}, { "ready" }, { "stop" }, { "ready", "hung" }, { "late" }, { "leaving" } } do
      table.insert(before, "exit")
      assert.equal("gone", run(table.unpack(before)))
    end
  end)

  it("count an end as a failure only where nobody asked for it", function()
    local function action(state)
      return select(2, states.step(state, "exit"))
    end
    assert.equal("count_failure", action "starting")
    assert.equal("count_failure", action "ready")
    assert.equal("bury", action "stopping")
  end)

  it("know no way back", function()
    assert.equal("stopping", run("ready", "stop", "ready", "online", "hung", "stop"))
    assert.equal("gone", run("exit", "ready", "stop", "exit"))
  end)

  it("are judged hung only when ready: before, ready_timeout is the limit", function()
    assert.is_nil(states.step("starting", "hung"))
    assert.equal("kill_hung", select(2, states.step("ready", "hung")))
    assert.equal("kill_late", select(2, states.step("starting", "late")))
    assert.is_nil(states.step("ready", "late"))
  end)
end)
