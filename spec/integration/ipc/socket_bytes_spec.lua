-- The bytes of a socket that is sent: those that were read and not taken, and
-- those that wait to be written, go with it.

local eventually = require "spec.support.eventually"
local forks = require "spec.support.forks"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"
local turns = require "spec.support.turns"

local in_both = transfers.in_both

-- Reads its socket to the end, and sends all of it back over that.
local give_back = [[
  process.on("message", function(_, socket)
    mw.go(function()
      local chunks = {}
      for chunk in function() return socket:read() end do
        chunks[#chunks + 1] = chunk
      end
      socket:finish(table.concat(chunks))
    end)
  end)
]]

local every_byte
do
  local bytes = {}
  for byte = 0, 255 do
    bytes[#bytes + 1] = string.char(byte)
  end
  every_byte = table.concat(bytes)
end

-- Waits until a socket has read so much that nobody has taken.
local function buffered(socket, count)
  eventually(function()
    return socket:readable_length() >= count
  end)
end

-- Sends a client's bytes to a child by way of this process: `before` are written
-- first, `prepare(accepted)` takes of them what it wants, then the socket is sent
-- and `after` are written. Returns what the child has read.
local function pass_on(opts, before, prepare, after)
  local child = forks.start(give_back, opts)
  local client, accepted, server = sockets.pair { allow_half_open = true }
  client:write(before)
  prepare(accepted)
  child:send("socket", accepted)
  client:finish(after)
  local text = transfers.read_all(client)
  sockets.close(client, server)
  transfers.end_of(child)
  return text
end

describe("Bytes that were read from a socket, and not taken,", function()
  after_each(forks.clean)

  in_both("arrive with it after a read of some", function(opts)
    local text = pass_on(opts, "head:tail", function(socket)
      assert.equal("head", socket:read(4))
    end, " and more")
    assert.equal(":tail and more", text)
  end)

  in_both("arrive with it when it was paused", function(opts)
    local text = pass_on(opts, "first", function(socket)
      local seen = {}
      socket:on("data", function(data)
        seen[#seen + 1] = data
        socket:pause()
      end)
      eventually(function()
        return #seen == 1
      end)
      socket:_read_ahead()
    end, "second")
    assert.equal("second", text)
  end)

  in_both("arrive with it as they are, whatever bytes", function(opts)
    local text = pass_on(opts, "x" .. every_byte, function(socket)
      assert.equal("x", socket:read(1))
      buffered(socket, 256)
    end, every_byte)
    assert.is_true(text == every_byte .. every_byte)
  end)

  in_both("arrive with it in the middle of a character", function(opts)
    for _, cut in ipairs { 1, 2, 3 } do
      local text = pass_on(opts, "ab" .. ("😀"):sub(1, cut), function(socket)
        socket:set_encoding "utf8"
        assert.equal("ab", socket:read())
      end, ("😀"):sub(cut + 1) .. "c")
      assert.equal("😀c", text)
    end
  end)

  in_both("arrive with it in the middle of a character, behind whole ones", function(opts)
    local text = pass_on(opts, "abä\xE2\x82", function(socket)
      socket:set_encoding "utf8"
      assert.equal("a", socket:read(1))
    end, "\xACc")
    assert.equal("bä€c", text)
  end)

  in_both("arrive with it as much as the buffer takes", function(opts)
    local before = every_byte:rep(1024)
    local text = pass_on(opts, before, function(socket)
      assert.equal(every_byte:sub(1, 100), socket:read(100))
      socket:_read_ahead()
      buffered(socket, 65536)
    end, "end")
    assert.is_true(text == before:sub(101) .. "end")
  end)

  in_both("arrive with it in a handler of data", function(opts)
    local child = forks.start(give_back, opts)
    local client, accepted, server = sockets.pair { allow_half_open = true }
    local seen
    accepted:on("data", function(data)
      seen = data
      child:send("socket", accepted)
    end)
    client:write "for the parent"
    eventually(function()
      return seen
    end)
    assert.equal("for the parent", seen)
    client:finish "for the child"
    assert.equal("for the child", transfers.read_all(client))
    sockets.close(client, server)
    transfers.end_of(child)
  end)

  in_both("stay here with keep_open", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(_, socket)
        process.send(socket:readable_length())
        socket:destroy()
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    client:write "one two"
    assert.equal("one", accepted:read(3))
    child:send("socket", accepted, { keep_open = true })
    assert.equal(0, (transfers.arrived(arrivals)))
    assert.equal(" two", accepted:read())
    sockets.close(client, accepted, server)
    transfers.end_of(child)
  end)

  in_both("arrive at the parent with a child's socket", function(opts)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(message, socket)
        mw.go(function()
          assert(socket:read(4) == "head")
          process.send("back", socket)
        end)
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    client:write("head" .. every_byte)
    child:send("socket", accepted)
    local _, socket = transfers.arrived(arrivals)
    client:finish()
    assert.is_true(transfers.read_all(socket) == every_byte)
    sockets.close(client, socket, server)
    transfers.end_of(child)
  end)
end)

describe("Bytes that wait to be written to a socket", function()
  after_each(forks.clean)

  -- More than the kernel takes while nobody reads.
  local long = every_byte:rep(32 * 1024)

  local function write_and_send(opts, write)
    local child, arrivals = transfers.start(
      [[
      process.on("message", function(_, socket)
        socket:finish "and by the child"
        process.send "there"
      end)
    ]],
      opts
    )
    local client, accepted, server = sockets.pair()
    write(accepted)
    child:send("socket", accepted)
    transfers.arrived(arrivals)
    local text = transfers.read_all(client)
    sockets.close(client, server)
    transfers.end_of(child)
    return text
  end

  in_both("go with it, and come out in order", function(opts)
    local text = write_and_send(opts, function(socket)
      socket:write(long)
      socket:write "second"
      socket:write("third")
      assert.is_true(socket.buffer_size > 0)
    end)
    assert.equal(#long + #"secondthirdand by the child", #text)
    assert.is_true(text == long .. "secondthirdand by the child")
  end)

  in_both("go with it also when some went out meanwhile", function(opts)
    local text = write_and_send(opts, function(socket)
      socket:write(long)
      turns()
      socket:write "second"
    end)
    assert.is_true(text == long .. "secondand by the child")
  end)

  in_both("tell those who wrote them that they are in other hands", function(opts)
    local child, arrivals = transfers.start("process.on('message', function(_, s) s:destroy() process.send 'closed' end)", opts)
    local client, accepted, server = sockets.pair()
    local called, code = 0, nil
    accepted:write(long, function(err)
      called, code = called + 1, err and err.code
    end)
    child:send("socket", accepted)
    transfers.arrived(arrivals)
    eventually(function()
      return accepted.closed
    end)
    assert.equal(1, called)
    assert.equal("ERR_STREAM_DESTROYED", code)
    sockets.close(client, server)
    transfers.end_of(child)
  end)
end)
