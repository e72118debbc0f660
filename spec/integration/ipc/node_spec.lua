local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local node = require "spec.support.node"
local scratch = require "spec.support.scratch"

local values = {
  "text",
  "ä€😀\n\0\127",
  1,
  -5,
  1.5,
  2 ^ 53 | 0,
  true,
  false,
  { 1, 2, { a = { "b" } } },
  { cmd = "node_", x = { y = "NODE_" } },
}

describe("A Node child", function()
  local folder

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)

  local function start(code)
    local child = node.start(folder:write("child.js", code))
    local messages = {}
    child:on("message", function(message)
      messages[#messages + 1] = message
    end)
    return child, messages
  end

  local function received(messages, count)
    eventually(function()
      return #messages >= count
    end)
  end

  node.it("gets messages and sends them back, in order", function()
    local child, messages = start "process.on('message', m => process.send(m))"
    for _, value in ipairs(values) do
      child:send(value)
    end
    child:send(mw.null)
    received(messages, #values + 1)
    assert.is_true(messages[#values + 1] == mw.null)
    messages[#values + 1] = nil
    assert.same(values, messages)
    assert.equal("integer", math.type(messages[3]))
    for number = 1, 2000 do
      child:send { number = number }
    end
    received(messages, #values + 2000)
    for number = 1, 2000 do
      assert.equal(number, messages[#values + number].number)
    end
    child:disconnect()
    assert.equal(0, children.finish(child).code)
  end)

  node.it("gets and sends large messages", function()
    local child, messages = start "process.on('message', m => process.send(m))"
    local text = ("ä€😀x\n"):rep(400000)
    child:send(text)
    child:send "behind"
    received(messages, 2)
    assert.is_true(messages[1] == text)
    assert.equal("behind", messages[2])
    child:disconnect()
    assert.equal(0, children.finish(child).code)
  end)

  node.it("may disconnect first", function()
    local child, messages = start "process.send('bye'); process.disconnect()"
    local result = children.finish(child)
    assert.equal(0, result.code)
    assert.same({ "bye" }, messages)
    assert.truthy(children.event(result.events, "disconnect"))
    assert.is_nil(result.error)
  end)

  node.it("sees our disconnect behind what was sent", function()
    local child, messages = start [[
      let n = 0
      process.on('message', m => { n += m.length })
      process.on('disconnect', () => process.exit(n === 3000004 ? 5 : 1))
    ]]
    child:send(("x"):rep(3000000))
    child:send "last"
    child:disconnect()
    assert.equal(5, children.finish(child).code)
    assert.same({}, messages)
  end)

  node.it("keeps its internal messages to itself", function()
    local child, messages = start [[
      process.send({ cmd: 'NODE_CLUSTER', act: 'online' })
      process.send({ cmd: 'NODE_HANDLE_ACK' })
      process.send({ cmd: 'ours' })
      process.on('message', m => process.send(m))
    ]]
    child:send { cmd = "NODE_x" }
    child:send "end"
    received(messages, 2)
    assert.same({ { cmd = "ours" }, "end" }, messages)
    child:disconnect()
    assert.equal(0, children.finish(child).code)
  end)
end)

describe("A script that Node has forked", function()
  local folder

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)

  local function run(lua, javascript)
    local script = folder:write("child.lua", 'local process = require "mw.process"; ' .. lua)
    local program = folder:write(
      "parent.js",
      [[
      const child = require('child_process').fork(process.argv[2], [], { execPath: process.argv[3], execArgv: [] })
      const got = []
      child.on('message', m => { got.push(m); if (typeof onMessage === 'function') onMessage(m) })
      child.on('exit', (code, signal) => console.log('exit', code, signal))
      child.on('disconnect', () => console.log('disconnect'))
      process.on('exit', () => console.log(JSON.stringify(got).length > 500 ? got.map(x => x.length) : JSON.stringify(got)))
    ]] .. javascript
    )
    return children.run("node", { program, script, mw.process.exec_path })
  end

  node.it("talks to it", function()
    local result = run(
      "process.on('message', function(m) process.send(m) if m == 'end' then process.disconnect() end end)",
      [=[
      for (const m of ['ä€😀\n', 1, -2, 1.5, 2**53, true, null, [1, [2]], { a: { b: [] } }, 'end']) child.send(m)
    ]=]
    )
    assert.equal("", result.stderr)
    assert.equal(
      'disconnect\nexit 0 null\n["ä€😀\\n",1,-2,1.5,9007199254740992,true,null,[1,[2]],{"a":{"b":[]}},"end"]\n',
      result.stdout
    )
  end)

  node.it("sends large messages and exits", function()
    local result = run("process.send(('ä'):rep(1000000)); process.send(('x'):rep(5000000)); process.exit(4)", "")
    assert.matches("[ 1000000, 5000000 ]", result.stdout, 1, true)
    assert.matches("exit 4 null", result.stdout, 1, true)
  end)

  node.it("ends when Node disconnects, and sees no internal messages", function()
    local result = run(
      "process.on('message', function(m) process.send { 'got', m } end); process.on('disconnect', function() os.exit(6) end)",
      [[
      child.send({ cmd: 'NODE_SOMETHING' })
      child.send('x'.repeat(10))
      var onMessage = () => child.disconnect()
    ]]
    )
    assert.equal('disconnect\nexit 6 null\n[["got","xxxxxxxxxx"]]\n', result.stdout)
  end)

  node.it("has no channel where the messages are in a form of Node's own", function()
    local result = run("print(process.connected, os.getenv 'NODE_CHANNEL_FD')", "")
    assert.equal(0, result.code)
    local script = folder:write("plain.lua", 'print(require("mw.process").connected)')
    local program = folder:write(
      "advanced.js",
      "require('child_process').fork(process.argv[2], [], { execPath: process.argv[3], execArgv: [], serialization: 'advanced' })"
    )
    result = children.run("node", { program, script, mw.process.exec_path })
    assert.equal("false\n", result.stdout)
  end)
end)
