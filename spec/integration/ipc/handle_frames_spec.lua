-- Descriptors on a channel as its bytes have them, and frames that no mwrun
-- would send.

local child_process = require "mw.child_process"
local core = require "mw.core.fd"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local leaks = require "spec.support.leaks"
local mw = require "mw"
local uv = require "luv"

-- A child whose channel this end speaks by hand.
local function start(code, variables)
  local env = { MWRUN_LUA_DIR = mw.process.env.MWRUN_LUA_DIR, PATH = mw.process.env.PATH }
  for name, value in pairs(variables) do
    env[name] = value
  end
  local pair = uv.socketpair("stream", 0, { nonblock = true }, {})
  local child = child_process.spawn(mw.process.exec_path, { forks.write("child.lua", code) }, {
    stdio = { "ignore", "inherit", "inherit", "ignore", "ignore", pair[2] },
    env = env,
  })
  core.close(pair[2])
  local pipe = uv.new_pipe(true)
  pipe:open(pair[1])
  local got = {}
  pipe:read_start(function(_, chunk)
    got[#got + 1] = chunk
  end)
  return child, pipe, function()
    return table.concat(got)
  end
end

local function frame(value, kind, descriptors)
  local payload = mw.msgpack.encode(value)
  return string.pack("<I4BBBB", #payload, kind or 0, descriptors or 0, descriptors and 1 or 0, 0) .. payload
end

-- Writes bytes with the descriptor of a handle.
local function write_with(pipe, bytes, handle)
  pipe:write2(bytes, handle, function() end)
end

local function bound_tcp()
  local tcp = uv.new_tcp()
  tcp:bind("127.0.0.1", 0)
  return tcp
end

local function finish(child, pipe)
  pipe:close()
  child:wait "close"
  assert.equal(0, child.exit_code)
end

-- Tells what comes; how many descriptors are open at the start and then.
local tell = [[
  require "mw.ipc.handle"
  local leaks = require "spec.support.leaks"
  local before = leaks.descriptor_count()
  process.on("message", function(message, handle)
    local kind = handle and handle.kind
    if handle then handle:close() end
    local is_last = message == "end" or message == "three"
    process.send { message = message, kind = kind or "none", more = is_last and leaks.descriptor_count() - before or 0 }
  end)
]]

describe("A frame with a descriptor", function()
  after_each(forks.clean)

  local function start_binary()
    return start(tell, { MW_CHANNEL_FD = 5, LUA_PATH = mw.process.cwd() .. "/?.lua;;" })
  end

  it("of any program arrives as a message with a descriptor", function()
    local child, pipe, got = start_binary()
    local tcp = bound_tcp()
    pipe:write(frame "before")
    write_with(pipe, frame("with", 0, 1), tcp)
    pipe:write(frame "behind")
    local function answer(message, kind)
      return mw.msgpack.encode { message = message, kind = kind, more = 0 }
    end
    eventually(function()
      local text = got()
      return #text >= 3 * 8 + #answer("before", "none") + #answer("with", "tcp") + #answer("behind", "none")
    end)
    local seen = {}
    local offset, text = 1, got()
    while offset < #text do
      local size = string.unpack("<I4", text, offset)
      seen[#seen + 1] = mw.msgpack.decode(text:sub(offset + 8, offset + 7 + size))
      offset = offset + 8 + size
    end
    assert.same({
      { message = "before", kind = "none", more = 0 },
      { message = "with", kind = "tcp", more = 0 },
      { message = "behind", kind = "none", more = 0 },
    }, seen)
    tcp:close()
    finish(child, pipe)
  end)

  -- IPC-20
  it("that makes internal messages up is ignored, and leaks nothing", function()
    local child, pipe, got = start_binary()
    local tcp = bound_tcp()
    local nan = 0 / 0
    for _, value in ipairs {
      { cmd = "NODE_HANDLE_ACK", number = 99 },
      { cmd = "NODE_HANDLE_ACK", number = "x" },
      { cmd = "NODE_HANDLE_ACK" },
      { cmd = "NODE_HANDLE_NACK" },
      { cmd = "NODE_HANDLE_LOST", number = 4 },
      { cmd = "NODE_HANDLE_LOST" },
      { cmd = "NODE_HANDLE", type = "net.Socket", msg = "no descriptor" },
      { cmd = "NODE_HANDLE", type = "net.Socket", msg = "no descriptor", number = 1 },
      { cmd = "NODE_HANDLE", type = "net.Socket", msg = "no descriptor", number = nan },
      { cmd = "NODE_SOCKET_GET_COUNT", key = nan },
      { cmd = "NODE_SOCKET_GET_COUNT", key = { 1 } },
      { cmd = "NODE_SOCKET_COUNT", key = "unknown", count = 3 },
      { cmd = "NODE_SOCKET_ALL_CLOSED", key = "unknown" },
      { cmd = "NODE_SOCKET_NOTIFY_CLOSE", key = nan },
      { cmd = "NODE_SOCKET_NOTIFY_CLOSE" },
      { cmd = "NODE_UNKNOWN" },
      { cmd = { "x" } },
      {},
      "text",
      7,
      mw.null,
    } do
      pipe:write(frame(value, 1))
    end
    write_with(pipe, frame({ cmd = "NODE_UNKNOWN" }, 1, 1), tcp)
    write_with(pipe, frame("text", 1, 1), tcp)
    write_with(pipe, frame({ cmd = "NODE_HANDLE_ACK" }, 1, 1), tcp)
    write_with(pipe, frame({ cmd = "NODE_SOCKET_COUNT", key = "x" }, 1, 1), tcp)
    write_with(pipe, frame({ cmd = "NODE_HANDLE_NACK", number = 8 }, 1, 1), tcp)
    pipe:write(frame "end")
    local expected = frame { message = "end", kind = "none", more = 0 }
    eventually(function()
      return #got() >= #expected and got():find("message", 1, true)
    end)
    assert.is_nil(got():find("no descriptor", 1, true))
    assert.truthy(got():find(mw.msgpack.encode(0), 1, true))
    local offset, text, last = 1, got(), nil
    while offset < #text do
      local size = string.unpack("<I4", text, offset)
      last = mw.msgpack.decode(text:sub(offset + 8, offset + 7 + size))
      offset = offset + 8 + size
    end
    assert.same({ message = "end", kind = "none", more = 0 }, last)
    tcp:close()
    finish(child, pipe)
  end)

  it("of an unknown type, or one that it is not, gives a message without handle", function()
    local child, pipe, got = start_binary()
    local tcp = bound_tcp()
    for _, type in ipairs { "net.Unknown", "dgram.Socket", "dgram.Native", "net.Server" } do
      write_with(pipe, frame({ cmd = "NODE_HANDLE", type = type, msg = type }, 1, 1), tcp)
    end
    eventually(function()
      return select(2, got():gsub("message", "")) == 4
    end)
    local offset, text, seen = 1, got(), {}
    while offset < #text do
      local size = string.unpack("<I4", text, offset)
      seen[#seen + 1] = mw.msgpack.decode(text:sub(offset + 8, offset + 7 + size))
      offset = offset + 8 + size
    end
    local messages = {}
    for _, value in ipairs(seen) do
      if value.message then
        messages[#messages + 1] = value
        assert.equal("none", value.kind)
        assert.equal(0, value.more)
      end
    end
    assert.equal(4, #messages)
    tcp:close()
    finish(child, pipe)
  end)

  it("that nobody takes is closed with the channel", function()
    local child, pipe = start("mw.timers.set_timeout(function() end, 100)", { MW_CHANNEL_FD = 5 })
    local before = leaks.descriptor_count()
    local tcp = bound_tcp()
    for _ = 1, 10 do
      write_with(pipe, frame("unread", 0, 1), tcp)
    end
    tcp:close()
    finish(child, pipe)
    assert.is_true(leaks.descriptor_count() <= before)
  end)

  it("in JSON without a type that is known gives a message without handle", function()
    local child, pipe, got = start(tell, {
      NODE_CHANNEL_FD = 5,
      NODE_CHANNEL_SERIALIZATION_MODE = "json",
      LUA_PATH = mw.process.cwd() .. "/?.lua;;",
    })
    local tcp = bound_tcp()
    write_with(pipe, '{"cmd":"NODE_HANDLE","type":"what","msg":"one"}\n', tcp)
    pipe:write '{"cmd":"NODE_HANDLE","msg":"two"}\n"three"\n'
    eventually(function()
      return got():find("three", 1, true)
    end)
    local lines = {}
    for line in got():gmatch "[^\n]+" do
      lines[#lines + 1] = mw.json.decode(line)
    end
    assert.same({
      { cmd = "NODE_HANDLE_ACK" },
      { message = "one", kind = "none", more = 0 },
      { cmd = "NODE_HANDLE_NACK" },
      { message = "three", kind = "none", more = 0 },
    }, lines)
    tcp:close()
    finish(child, pipe)
  end)
end)
