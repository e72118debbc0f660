-- The bytes on a channel, as runtime/README.md tells them to other programs.

local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local mw = require "mw"
local uv = require "luv"

local function frame(payload, kind)
  return string.pack("<I4BBI2", #payload, kind or 0, 0, 0) .. payload
end

-- A program that is no mwrun as far as the channel goes: it has the bytes of
-- descriptor 3. Copies what comes to its output until there are `count` bytes.
local function run_raw(written, count)
  local child = children.start_lua(
    ([[
      local uv = require "luv"
      local pipe = uv.new_pipe(false)
      pipe:open(3)
      local got, wanted = "", %d
      for part in (%q):gmatch "[^|]+" do
        pipe:write((part:gsub("%%x%%x", function(hex) return string.char(tonumber(hex, 16)) end)))
        uv.sleep(20)
      end
      pipe:read_start(function(_, chunk)
        got = got .. (chunk or "")
        if not chunk or #got >= wanted then
          io.stdout:write(got)
          pipe:close()
        end
      end)
      uv.run()
    ]]):format(count, written),
    { stdio = { "ignore", "pipe", "inherit", "ipc" } }
  )
  local messages = {}
  child:on("message", function(message)
    messages[#messages + 1] = message
  end)
  return child, messages
end

describe("A channel", function()
  after_each(forks.clean)

  it("takes frames that were written by hand, in any pieces", function()
    local child, messages = run_raw(
      "0300000000000000a26869"
        .. "|010000|0000000000|07"
        .. "|02000000010000009107"
        .. "|0100000000000000c3|0100000000000000c00200000000000000a178",
      1
    )
    child:send(true)
    local result = children.finish(child)
    assert.equal(0, result.code)
    assert.is_nil(result.error)
    assert.same({ "hi", 7, true, mw.null, "x" }, messages)
  end)

  it("writes them so", function()
    local expected = frame "\xa2hi" .. frame "\x07" .. frame "\xc3" .. frame "\x92\x01\xa1x"
    local child = run_raw("|", #expected)
    child:send "hi"
    child:send(7)
    child:send(true)
    child:send { 1, "x" }
    assert.equal(expected, children.finish(child).stdout)
  end)

  it("may be opened for mwrun by any program, that names it by MW_CHANNEL_FD", function()
    local path = forks.write("child.lua", "process.on('message', function(m) process.send { m, process.connected } end)")
    local pair = uv.socketpair("stream", 0, { nonblock = true }, {})
    local child = child_process.spawn(mw.process.exec_path, { path }, {
      stdio = { "ignore", "inherit", "inherit", "ignore", "ignore", pair[2] },
      env = { MW_CHANNEL_FD = 5, MWRUN_LUA_DIR = mw.process.env.MWRUN_LUA_DIR },
    })
    require("mw.core.fd").close(pair[2])
    local pipe = uv.new_pipe(false)
    pipe:open(pair[1])
    local got = ""
    pipe:read_start(function(_, chunk)
      got = got .. (chunk or "")
    end)
    local sent = frame "\xa3abc" .. frame("\xa3any", 1) .. frame "\xd1\x01\x00"
    for index = 1, #sent do
      pipe:write(sent:sub(index, index))
    end
    local expected = frame "\x92\xa3abc\xc3" .. frame "\x92\xcd\x01\x00\xc3"
    eventually(function()
      return #got >= #expected
    end)
    pipe:close()
    assert.equal(expected, got)
    assert.equal(0, children.finish(child).code)
  end)
end)
