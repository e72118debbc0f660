-- What master and worker tell each other beside messages, and what a worker that
-- is none of ours may tell.

local Link = require "mw.cluster.messages"
local children = require "spec.support.children"
local clusters = require "spec.support.clusters"
local eventually = require "spec.support.eventually"
local fd = require "mw.core.fd"
local forks = require "spec.support.forks"
local turns = require "spec.support.turns"

after_each(forks.clean)
after_each(clusters.clean)

-- Another end, in a forked script.
local prelude = [[
  local Link = require "mw.cluster.messages"
  local fd = require "mw.core.fd"
  process.on("disconnect", function() end)
]]

local function fork(code, opts)
  return forks.start(prelude .. code, opts)
end

local function content(descriptor)
  local text = assert(fd.read(descriptor, 100))
  fd.close(descriptor)
  return text
end

-- The reading end of a pipe that holds a text.
local function pipe_with(text)
  local reading, writing = assert(fd.pipe())
  assert(fd.write_all(writing, text))
  fd.close(writing)
  return reading
end

local function nobody()
  error "no request is due"
end

describe("A request", function()
  forks.in_both("gets its answer, each its own, in any order", function(opts)
    local child = fork(
      [[
        local first
        Link.new(process.channel, function(message, descriptor, reply)
          assert(descriptor == nil and message.act == "double")
          if not first then
            first = { message.value, reply }
            return
          end
          reply { value = message.value * 2 }
          reply { value = "a second answer" }
          first[2] { value = first[1] * 2 }
        end)
      ]],
      opts
    )
    local link = Link.new(child.channel, nobody)
    local answers = {}
    for value = 1, 2 do
      assert.is_true(link:send({ act = "double", value = value }, nil, function(message, descriptor)
        assert.is_nil(descriptor)
        answers[#answers + 1] = message.value
      end))
    end
    eventually(function()
      return #answers == 2
    end)
    turns()
    assert.same({ 4, 2 }, answers)
    forks.end_of(child)
  end)

  forks.in_both("and its answer may have a descriptor, which the sender may close at once", function(opts)
    local child = fork(
      [[
        Link.new(process.channel, function(message, descriptor, reply)
          local text = fd.read(descriptor, 100)
          fd.close(descriptor)
          local reading, writing = fd.pipe()
          fd.write_all(writing, text:upper())
          print(reply({ act = "back" }, reading))
          fd.close(reading)
          fd.close(writing)
        end)
      ]],
      { serialization = opts.serialization, silent = true }
    )
    local link = Link.new(child.channel, nobody)
    local answers = {}
    for number = 1, 3 do
      local reading = pipe_with("text " .. number)
      assert.is_true(link:send({ act = "shout" }, reading, function(_, descriptor)
        answers[number] = content(descriptor)
      end))
      fd.close(reading)
    end
    child:send "a message in between"
    eventually(function()
      return #answers == 3
    end)
    assert.same({ "TEXT 1", "TEXT 2", "TEXT 3" }, answers)
    assert.equal("true\ntrue\ntrue\n", forks.end_of(child).stdout)
  end)

  forks.in_both("goes beside messages that have handles of their own", function(opts)
    local child, messages = fork(
      [[
        process.on("message", function(value, handle)
          process.send { value, handle and handle.kind }
          if handle then handle:close() end
        end)
        Link.new(process.channel, function(message, descriptor)
          process.send { message.act, fd.read(descriptor, 100) }
          fd.close(descriptor)
        end)
      ]],
      opts
    )
    local link = Link.new(child.channel, nobody)
    for number = 1, 5 do
      local reading = pipe_with("internal " .. number)
      child:send("plain " .. number, require("mw.process").fd(pipe_with ""))
      link:send({ act = "act " .. number }, reading)
      fd.close(reading)
    end
    forks.received(messages, 10)
    local seen = {}
    for _, message in ipairs(messages) do
      seen[message[1]] = message[2]
    end
    for number = 1, 5 do
      assert.equal("pipe", seen["plain " .. number])
      assert.equal("internal " .. number, seen["act " .. number])
    end
    forks.end_of(child)
  end)

  it("that wants no answer gets none", function()
    local child, messages = fork [[
      Link.new(process.channel, function(message, _, reply) process.send(reply { act = "unasked" }) end)
    ]]
    local link = Link.new(child.channel, nobody)
    assert.is_true(link:send { act = "tell" })
    assert.is_false(forks.received(messages))
    forks.end_of(child)
  end)

  it("is refused where there is no channel any more, or no such descriptor", function()
    local link = Link.new(nil, nobody)
    assert.is_false(link:send({ act = "any" }, nil, nobody))
    local child = fork ""
    link = Link.new(child.channel, nobody)
    assert.is_false(link:send({ act = "any" }, 9999, nobody))
    forks.end_of(child)
    assert.is_false(link:send({ act = "any" }, 0, nobody))
  end)
end)

describe("What a peer says without sense", function()
  local told = [[
    local reading = assert(fd.pipe())
    for _, envelope in ipairs {
      {}, { act = 1 }, { act = {} }, { ack = 7 }, { ack = "x" }, { ack = {} }, { ack = 0.5 }, { ack = false },
      { seq = 1 }, { act = "tell", seq = "x" }, { act = "tell", descriptor = "true" }, { act = "tell", descriptor = 1 },
    } do
      envelope.cmd = "NODE_CLUSTER"
      process.channel:tell(envelope)
      envelope.descriptor = true
      process.channel:tell(envelope, reading)
    end
    process.send "done"
  ]]

  forks.in_both("is not heard, and its descriptors are closed", function(opts)
    local child, messages = fork(told, opts)
    local acts = 0
    Link.new(child.channel, function(message, descriptor, reply)
      assert.equal("tell", message.act)
      assert.is_false(reply { act = "answer" })
      acts = acts + 1
      if descriptor then
        fd.close(descriptor)
      end
    end)
    forks.received(messages)
    assert.equal(6, acts)
    forks.end_of(child)
  end)

  forks.in_both("is nothing to one who has no part in a cluster", function(opts)
    local child, messages = fork(told, opts)
    forks.received(messages)
    forks.end_of(child)
  end)

  it("and a descriptor that is said to come and does not, is one that was lost", function()
    local child, messages = fork([[
      process.channel:tell { cmd = "NODE_CLUSTER", act = "tell", descriptor = true }
      process.send "done"
    ]], { serialization = "json" })
    local got
    Link.new(child.channel, function(_, descriptor)
      got = descriptor
    end)
    forks.received(messages)
    assert.is_false(got)
    forks.end_of(child)
  end)

  it("does no harm to a master", function()
    local master = clusters.start(
      [[
        local worker = cluster.fork()
        for _, event in ipairs { "online", "listening", "disconnect", "exit" } do
          worker:on(event, function(value, ...)
            print(event, worker.state, type(value) == "table" and value.address_type or value, ...)
          end)
        end
        worker:on("listening", function(address) print(address.address, address.port, address.fd) end)
      ]],
      [[
        local fd = require "mw.core.fd"
        local reading = assert(fd.pipe())
        local function tell(envelope)
          envelope.cmd = "NODE_CLUSTER"
          process.channel:tell(envelope)
          envelope.descriptor = true
          process.channel:tell(envelope, reading)
        end
        tell { act = "online" }
        tell { act = "no such thing", seq = 1 }
        tell { act = "exited_after_disconnect", seq = {} }
        local strange = { {}, { 1 }, "x", 1.5, -7, true, math.huge }
        for _, value in ipairs(strange) do
          tell { act = "listening", address_type = value }
          tell { act = "listening", address_type = 4, port = value }
          tell { act = "listening", address_type = 4, fd = value }
        end
        tell { act = "listening", address_type = 4, address = {} }
        tell { act = "listening", address_type = 4, port = 65536 }
        process.channel:tell { cmd = "NODE_CLUSTER", act = "listening", address_type = "udp4", address = "::", port = 7, fd = 3 }
        process.disconnect()
      ]]
    )
    assert.equal(
      "online\tonline\tnil\nlistening\tlistening\tudp4\n::\t7\t3\ndisconnect\tdisconnected\tnil\nexit\tdead\t0\tnil\n",
      clusters.finish(master)
    )
  end)

  it("leaves no descriptor in a master", function()
    local printed = clusters.run(
      [[
        local function count() return #require("spec.support.scratch").names "/proc/self/fd" end
        local before = count()
        cluster.fork():on("exit", function()
          mw.sleep(5, function() print(count() - before) end)
        end)
      ]],
      [[
        local reading = assert(require("mw.core.fd").pipe())
        for _, act in ipairs { "online", "listening", "exited_after_disconnect", "x" } do
          process.channel:tell({ cmd = "NODE_CLUSTER", act = act, descriptor = true, seq = 1 }, reading)
        end
        process.channel:tell({ cmd = "NODE_CLUSTER", ack = 1, descriptor = true }, reading)
        worker:disconnect()
      ]]
    )
    assert.equal("0\n", printed)
  end)

  it("does no harm to a worker", function()
    local printed = clusters.run(
      [[
        local worker = cluster.fork()
        local reading = assert(require("mw.core.fd").pipe())
        for _, envelope in ipairs { { act = "x" }, { act = 5 }, { ack = 5 }, { ack = "x" }, {}, { act = "listening" } } do
          envelope.cmd, envelope.descriptor = "NODE_CLUSTER", true
          worker.process.channel:tell(envelope, reading)
        end
        worker:send "look"
        worker:on("message", function(left) print(left) worker:disconnect() end)
        worker:on("exit", print)
      ]],
      [[
        local names = require("spec.support.scratch").names
        local before = #names "/proc/self/fd"
        worker:on("message", function() worker:send(#names "/proc/self/fd" - before) end)
      ]]
    )
    assert.equal("0\n0\tnil\n", printed)
  end)
end)

describe("A program that is no mwrun", function()
  it("may be a worker that is never online", function()
    local result = children.finish(clusters.start [[
      cluster.setup_master { exec_path = "/bin/sh", exec = "-c", args = { "exit $((MW_UNIQUE_ID + 4))" } }
      local worker = cluster.fork()
      worker:on("online", function() print "never" end)
      worker:on("exit", function(code) print(worker.state, code, worker.exited_after_disconnect) end)
    ]])
    assert.equal("dead\t5\tfalse\n", result.stdout)
  end)
end)
