-- The examples in scripts/examples do what they say.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local net = require "mw.net"

local function start(name, ...)
  local child = child_process.spawn(mw.process.exec_path, { "scripts/examples/" .. name, ... })
  return child, children.collect(child.stdout)
end

-- The port that an example prints.
local function port_of(stdout)
  eventually(function()
    return stdout():find ":%d+\n"
  end)
  return tonumber(stdout():match ":(%d+)\n")
end

local function connect(port)
  local socket = net.connect(port, "127.0.0.1")
  assert(socket:wait "connect")
  return socket
end

describe("The example", function()
  it("ping throws a message to and fro", function()
    local child, stdout = start("ping.lua", "2")
    assert.equal(0, (child:wait "close"))
    assert.matches("^pong 1 from %d+\npong 2 from %d+\nthe child has ended with 0\n$", stdout())
  end)

  it("sum answers others while it works something out", function()
    local child, stdout = start("sum.lua", "0")
    local port = port_of(stdout)
    local asker, other = connect(port), connect(port)
    asker:write "sum 100000000\n"
    other:write "time\n"
    assert.matches("^%d%d:%d%d:%d%d\n$", other:read())
    assert.equal(0, asker.bytes_read)
    assert.equal("5000000050000000\n", asker:read())
    other:finish "nonsense\n"
    assert.equal('say "sum NUMBER" or "time"\n', other:read())
    asker:destroy()
    child:kill()
    child:wait "close"
  end)

  it("hand_over lets its workers answer in turn", function()
    local child, stdout = start("hand_over.lua", "0", "2")
    local port = port_of(stdout)
    local answers = {}
    for index = 1, 4 do
      local socket = connect(port)
      answers[index] = socket:read()
      assert.matches("^hello from %d+\n$", answers[index])
      socket:destroy()
    end
    assert.equal(answers[1], answers[3])
    assert.equal(answers[2], answers[4])
    assert.not_equal(answers[1], answers[2])
    child:kill()
    child:wait "close"
  end)
end)
