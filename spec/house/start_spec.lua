-- How soon a worker is there follows how much it loads: what it can do without
-- must not come in by the way.

local run_mwrun = require "spec.support.run_mwrun"

-- Which of these modules are loaded when a piece of Lua has run.
local function loaded_of(names, code)
  local ask = "for _, name in ipairs(arg) do if package.loaded[name] then io.write(name, ' ') end end"
  local result = run_mwrun { "-e", code .. " " .. ask, "/dev/null", table.unpack(names) }
  assert.equal("", result.stderr)
  return result.stdout
end

describe("A process", function()
  it("that listens to messages loads no luv, no tasks, timers, streams or children", function()
    local names = { "luv", "mw.core.process", "mw.stream.base", "mw.task", "mw.timers", "mw.process" }
    local code = "require('mw.process').on('message', print)"
    assert.equal("mw.process ", loaded_of(names, code))
  end)

  it("that serves requests loads no client, router or static files", function()
    local names = { "mw.http.agent", "mw.http.client_request", "mw.http.router", "mw.http.static", "mw.http.server" }
    local code = "require('mw.http').create_server(print):listen(0):close()"
    assert.equal("mw.http.server ", loaded_of(names, code))
  end)
end)
