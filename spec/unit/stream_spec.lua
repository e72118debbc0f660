local child_process = require "mw.child_process"
local emitter = require "mw.emitter"
local errors = require "mw.error"
local eventually = require "spec.support.eventually"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local process = require "mw.process"
local stream = require "mw.stream"
local timers = require "mw.timers"
local uncaught = require "spec.support.uncaught"

local function later(fn, ...)
  timers.set_timeout(fn, 1, ...)
end

local function code_of(err)
  return type(err) == "table" and err.code or err
end

-- A function that notes what it is given, and all of it so far as text.
local function journal()
  local words = {}
  return function(word)
    words[#words + 1] = tostring(word)
  end, function()
    return table.concat(words, " ")
  end
end

local all_events = { "data", "end", "drain", "finish", "error", "close", "pipe", "unpipe" }
local all_but_data = { table.unpack(all_events, 2) }

-- Notes the events of a stream.
local function watch(s, note, names)
  for _, name in ipairs(names) do
    s:on(name, function(value)
      if name == "data" then
        note("data:" .. value)
      elseif name == "error" then
        note("error:" .. tostring(code_of(value)))
      else
        note(name)
      end
    end)
  end
  return s
end

-- A callback that notes its name, and the error where there is one.
local function noting(note, name)
  return function(err)
    note(err == nil and name or ("%s:%s"):format(name, code_of(err)))
  end
end

-- Waits until nothing is noted any more.
local function settled(text)
  local last
  repeat
    last = text()
    mw.sleep(8)
  until text() == last
  return last
end

-- A source of `count` chunks: one for each time that it is asked.
local function source(count, high_water_mark, answer)
  local number = 0
  return stream.readable {
    high_water_mark = high_water_mark,
    read = function(self)
      number = number + 1
      local chunk = number <= count and "d" .. number or nil
      if answer then
        answer(self.push, self, chunk)
      else
        self:push(chunk)
      end
    end,
  }
end

-- A writable stream that notes what it takes.
local function sink(note, opts)
  opts = opts or {}
  return stream.writable {
    high_water_mark = opts.high_water_mark,
    write = function(_, chunk, done)
      note("w:" .. chunk)
      if opts.slow then
        timers.set_timeout(done, opts.slow)
      else
        done()
      end
    end,
  }
end

describe("a writable stream", function()
  local note, text

  before_each(function()
    note, text = journal()
  end)

  it("takes chunks at once, then tells callbacks, finish and close in Node's order", function()
    local w = watch(sink(note, { high_water_mark = 4 }), note, all_but_data)
    note(w:write("abcd", noting(note, "c1")))
    note(w:write("x", noting(note, "c2")))
    w:finish("yz", noting(note, "cf"))
    note "returned"
    assert.equal("w:abcd true w:x true w:yz returned c1 c2 cf finish close", settled(text))
  end)

  it("says false at the high water mark, then drain, before the last callback, as Node", function()
    local w = watch(sink(note, { high_water_mark = 4, slow = 1 }), note, all_but_data)
    note(w:write("ab", noting(note, "c1")))
    note(w:write("cd", noting(note, "c2")))
    note(w:write("e", noting(note, "c3")))
    note(w:writable_length())
    assert.equal("w:ab true false false 5 w:cd c1 w:e c2 drain c3", settled(text))
    assert.equal(0, w:writable_length())
    w:finish("yz", noting(note, "cf"))
    assert.matches("w:yz cf finish close$", settled(text))
  end)

  it("has a high water mark of 65536 bytes", function()
    local w = stream.writable { write = function() end }
    assert.equal(65536, w.writable_high_water_mark)
    assert.is_true(w:write(("x"):rep(65535)))
    assert.is_false(w:write "x")
    w:destroy()
  end)

  it("tells drain to one who was told to wait although another wrote since", function()
    local drained = 0
    local answers = {}
    local w = stream.writable {
      high_water_mark = 2,
      write = function(_, _, done)
        answers[#answers + 1] = done
      end,
    }
    w:on("drain", function()
      drained = drained + 1
    end)
    assert.is_false(w:write "abc")
    mw.sleep(1)
    w.writable_high_water_mark = 100
    assert.is_true(w:write "d")
    answers[1]()
    answers[2]()
    mw.sleep(1)
    assert.equal(1, drained)
    w:destroy()
  end)

  it("goes on after each drain in Node's order", function()
    local w = watch(sink(note, { high_water_mark = 3, slow = 1 }), note, all_but_data)
    local number = 0
    local function go()
      while number < 6 do
        number = number + 1
        if not w:write("k" .. number, noting(note, "c" .. number)) then
          return w:once("drain", go)
        end
      end
      w:finish()
    end
    go()
    assert.equal(
      "w:k1 w:k2 c1 drain w:k3 c2 w:k4 c3 drain w:k5 c4 w:k6 c5 drain c6 finish close",
      settled(text)
    )
  end)

  it("writes numbers as text, refuses other values, takes empty strings", function()
    local w = sink(note)
    w:write(5)
    w:write ""
    w:write(1.5)
    assert.equal("w:5 w: w:1.5", text())
    for _, value in ipairs { {}, true, print } do
      local message = misuse(function()
        w:write(value)
      end)
      assert.matches("^write: bad argument 'chunk' %(string expected", message)
    end
    assert.equal("write: bad argument 'callback' (function expected, got 5)", misuse(function()
      w:write("x", 5)
    end))
  end)

  it("keeps the order of chunks that wait", function()
    local w = sink(note, { slow = 0 })
    for number = 1, 20 do
      w:write(number)
    end
    local expected = {}
    for number = 1, 20 do
      expected[number] = "w:" .. number
    end
    eventually(function()
      return text() == table.concat(expected, " ")
    end)
  end)

  describe("finish", function()
    it("runs final before finish, and destroy before close", function()
      local w = watch(
        stream.writable {
          write = function(_, chunk, done)
            note("w:" .. chunk)
            done()
          end,
          final = function(_, done)
            note "final"
            later(done)
          end,
          destroy = function(_, err, done)
            note("destroy:" .. tostring(err))
            done()
          end,
        },
        note,
        all_but_data
      )
      w:write("a", noting(note, "c1"))
      assert.equal(w, w:finish(noting(note, "cf1")))
      w:finish(noting(note, "cf2"))
      assert.equal("w:a final c1 cf1 cf2 finish destroy:nil close", settled(text))
      assert.is_true(w.destroyed)
      assert.is_true(w.closed)
    end)

    it("waits for what was written", function()
      local w = watch(sink(note, { slow = 1 }), note, all_but_data)
      w:write "a"
      w:finish "b"
      assert.equal("w:a w:b finish close", settled(text))
    end)

    it("has an error for a callback that comes too late", function()
      local w = watch(sink(note), note, all_but_data)
      w:finish()
      w:on("close", function()
        w:finish(noting(note, "late"))
      end)
      assert.equal("finish close late:ERR_STREAM_ALREADY_FINISHED", settled(text))
    end)

    it("fails by what final says", function()
      local w = watch(
        stream.writable {
          final = function(_, done)
            done "F"
          end,
        },
        note,
        all_but_data
      )
      w:finish("x", noting(note, "cf"))
      assert.equal("cf:F error:F close", settled(text))
    end)

    it("tells its callbacks although one raises", function()
      local list = uncaught(function()
        local w = watch(sink(note), note, all_but_data)
        w:finish(error)
        w:finish(noting(note, "cf"))
        settled(text)
      end)
      assert.equal("cf finish close", text())
      assert.equal(1, #list)
    end)
  end)

  describe("that can't be written to", function()
    it("after finish says so by the callback and an error event", function()
      local w = watch(sink(note), note, all_but_data)
      w:finish("a", noting(note, "cf"))
      note(w:write("b", noting(note, "c")))
      assert.equal(
        "w:a false c:ERR_STREAM_WRITE_AFTER_END cf:ERR_STREAM_WRITE_AFTER_END error:ERR_STREAM_WRITE_AFTER_END close",
        settled(text)
      )
    end)

    it("after finish is an uncaught exception where nobody listens", function()
      local list = uncaught(function()
        local w = sink(note)
        w:finish()
        w:write "b"
        mw.sleep(1)
      end)
      assert.equal("ERR_STREAM_WRITE_AFTER_END", list[1].error.code)
    end)

    it("after destroy says so by the callback alone", function()
      local w = watch(sink(note), note, all_but_data)
      w:destroy()
      note(w:write("b", noting(note, "c")))
      w:finish(noting(note, "cf"))
      assert.equal("false close c:ERR_STREAM_DESTROYED cf:ERR_STREAM_DESTROYED", settled(text))
    end)
  end)

  describe("whose _write fails", function()
    it("at once tells the callback, then error and close", function()
      local w = watch(
        stream.writable {
          write = function(_, _, done)
            done "W"
          end,
        },
        note,
        all_but_data
      )
      note(w:write("a", noting(note, "c1")))
      w:finish(noting(note, "cf"))
      assert.equal("false c1:W error:W close cf:W", settled(text))
    end)

    it("later tells all who wait, once each, then error and close", function()
      local w = watch(
        stream.writable {
          write = function(_, _, done)
            later(done, "W")
          end,
        },
        note,
        all_but_data
      )
      note(w:write("a", noting(note, "c1")))
      note(w:write("b", noting(note, "c2")))
      w:finish(noting(note, "cf"))
      assert.equal("true true c1:W c2:W cf:W error:W close", settled(text))
    end)

    it("by answering twice is destroyed, and its callback comes once", function()
      local w = watch(
        stream.writable {
          write = function(_, _, done)
            done()
            done()
          end,
        },
        note,
        all_but_data
      )
      w:write("a", noting(note, "c1"))
      assert.equal("c1 error:ERR_MULTIPLE_CALLBACK close", settled(text))
    end)
  end)

  it("raises to the one who writes what its _write raises", function()
    local w = stream.writable {
      write = function()
        error("in _write", 0)
      end,
    }
    local ok, err = pcall(w.write, w, "a")
    assert.is_false(ok)
    assert.equal("in _write", err)
  end)

  it("that is destroyed tells each callback once, also where _write answers later", function()
    local answer
    local w = watch(
      stream.writable {
        write = function(_, _, done)
          answer = done
        end,
      },
      note,
      all_but_data
    )
    w:write("a", noting(note, "c1"))
    w:write("b", noting(note, "c2"))
    w:finish(noting(note, "cf"))
    w:destroy "boom"
    assert.equal("", text())
    assert.equal("c1:boom c2:boom cf:boom error:boom close", settled(text))
    answer()
    answer "again"
    assert.equal("c1:boom c2:boom cf:boom error:boom close", settled(text))
  end)
end)

describe("a readable stream", function()
  local note, text

  before_each(function()
    note, text = journal()
  end)

  it("asks its source again and again, and ends by end and close", function()
    watch(source(3, 4), note, all_events)
    assert.equal("", text())
    assert.equal("data:d1 data:d2 data:d3 end close", settled(text))
  end)

  it("asks it in the same way where it answers later", function()
    watch(source(3, 4, later), note, all_events)
    assert.equal("data:d1 data:d2 data:d3 end close", settled(text))
  end)

  it("asks no source before somebody wants to read", function()
    local asked = false
    local s = stream.readable {
      read = function()
        asked = true
      end,
    }
    mw.sleep(3)
    assert.is_false(asked)
    s:destroy()
  end)

  it("asks for more only up to the high water mark while nobody takes it", function()
    local s = source(100, 6)
    s:on("data", function() end)
    s:pause()
    mw.sleep(5)
    assert.is_true(s:readable_length() <= 6)
    s:resume()
    assert.is_true(s:wait "end")
  end)

  it("gives data that was pushed before anybody listened", function()
    local s = stream.readable()
    s:push "a"
    s:push "b"
    s:push(nil)
    watch(s, note, all_events)
    note "returned"
    assert.equal("returned data:a data:b end close", settled(text))
  end)

  it("gives each chunk at once while it flows", function()
    local s = watch(stream.readable(), note, all_events)
    later(function()
      s:push "a"
      note "pushed"
      s:push "b"
      s:push(nil)
      note "over"
    end)
    mw.sleep(5)
    assert.equal("data:a pushed data:b over end close", settled(text))
  end)

  it("tells the source by push whether it wants more, by Node's numbers", function()
    local s = stream.readable { high_water_mark = 4 }
    assert.is_true(s:push "ab")
    assert.is_true(s:push "c")
    assert.is_false(s:push "d")
    assert.is_false(s:push "e")
    assert.equal(5, s:readable_length())
    assert.is_false(s:push(nil))
    assert.is_false(s:push "after the end")
    assert.equal("abcde", s:read())
  end)

  it("refuses to push what is no string", function()
    local s = stream.readable()
    for _, value in ipairs { 5, {}, true } do
      assert.matches("^push: bad argument 'chunk' %(string expected", misuse(function()
        s:push(value)
      end))
    end
  end)

  describe("pause and resume", function()
    it("hold the data back and let it go on, chunk by chunk", function()
      local s = watch(source(3, 4), note, { "data", "end" })
      s:on("data", function()
        s:pause()
        note(tostring(s:is_paused()))
        later(function()
          note "resume"
          s:resume()
        end)
      end)
      assert.equal("data:d1 true resume data:d2 true resume data:d3 true resume end", settled(text))
    end)

    it("come before the first data where pause was called first", function()
      local s = stream.readable()
      assert.equal(s, s:pause())
      watch(s, note, { "data" })
      s:push "a"
      mw.sleep(3)
      assert.equal("", text())
      assert.equal(s, s:resume())
      assert.equal("data:a", settled(text))
    end)

    it("hold the end back too", function()
      local s = watch(stream.readable(), note, { "data", "end" })
      s:push(nil)
      s:pause()
      assert.equal("", settled(text))
      s:resume()
      assert.equal("end", settled(text))
    end)

    it("let a stream run dry where nobody listens", function()
      local s = watch(source(5, 4), note, { "end", "close" })
      s:resume()
      assert.equal("end close", settled(text))
    end)
  end)

  describe("read", function()
    it("gives what is there, and waits where nothing is", function()
      local s = stream.readable()
      s:push "ab"
      s:push "cd"
      assert.equal("abcd", s:read())
      later(s.push, s, "later")
      assert.equal("later", s:read())
    end)

    it("gives no more than was asked for, and the rest to the next", function()
      local s = stream.readable()
      s:push "abcdef"
      assert.equal("ab", s:read(2))
      assert.equal("cdef", s:read(100))
    end)

    it("gives nil at the end, again and again, and end and close come", function()
      local s = watch(stream.readable(), note, { "end", "close" })
      s:push "last"
      s:push(nil)
      assert.equal("last", s:read())
      assert.same({ n = 1, nil }, table.pack(s:read()))
      mw.sleep(1)
      assert.equal("end close", text())
      assert.is_nil(s:read())
    end)

    it("asks the source", function()
      local s = source(3, 4)
      local pieces = {}
      for piece in
        function()
          return s:read()
        end
      do
        pieces[#pieces + 1] = piece
      end
      assert.equal("d1d2d3", table.concat(pieces))
    end)

    it("answers those who wait in order", function()
      local s = stream.readable()
      local tasks = {}
      for number = 1, 3 do
        tasks[number] = mw.go(s.read, s, 2)
      end
      mw.sleep(2)
      s:push "abcd"
      s:push "ef"
      assert.equal("ab", tasks[1]:join())
      assert.equal("cd", tasks[2]:join())
      assert.equal("ef", tasks[3]:join())
    end)

    it("calls a callback with (err, data), not before it has returned", function()
      local s = stream.readable()
      s:push "abc"
      local got
      s:read(2, function(...)
        got = table.pack(...)
      end)
      assert.is_nil(got)
      mw.sleep(1)
      assert.same({ n = 2, nil, "ab" }, got)
      s:read(function(...)
        got = table.pack(...)
      end)
      mw.sleep(1)
      assert.same({ n = 2, nil, "c" }, got)
      s:push(nil)
      s:read(function(...)
        got = table.pack(...)
      end)
      mw.sleep(1)
      assert.same({ n = 2 }, got)
    end)

    it("returns nil and the error of a stream that fails while it waits, which is no uncaught exception", function()
      local list = uncaught(function()
        local s = stream.readable()
        local err = errors.new("ETEST", "ETEST")
        later(s.destroy, s, err)
        local data, got = s:read()
        assert.is_nil(data)
        assert.equal(err, got)
        mw.sleep(2)
        assert.equal(err, select(2, s:read()))
      end)
      assert.equal(0, #list)
    end)

    it("returns the error of a stream that failed since the last read", function()
      local list = uncaught(function()
        local s = stream.readable()
        s:push "a"
        assert.equal("a", s:read())
        s:destroy "boom"
        mw.sleep(2)
        assert.same({ n = 2, nil, "boom" }, table.pack(s:read()))
      end)
      assert.equal(0, #list)
    end)

    it("returns nil and an error on a stream that was destroyed", function()
      local s = stream.readable()
      s:push "lost"
      s:destroy()
      local data, err = s:read()
      assert.is_nil(data)
      assert.equal("ERR_STREAM_DESTROYED", err.code)
    end)

    it("raises for a count that is none", function()
      local s = stream.readable()
      for _, count in ipairs { 0, -1, 1.5, "x", {} } do
        assert.matches("^read: bad argument 'count' %(integer of at least 1 expected", misuse(function()
          s:read(count)
        end))
      end
    end)
  end)

  describe("lines", function()
    local function lines_of(...)
      local s = stream.readable()
      local chunks = table.pack(...)
      mw.go(function()
        for _, chunk in ipairs(chunks) do
          s:push(chunk)
          mw.sleep(1)
        end
        s:push(nil)
      end)
      local list = {}
      for line in s:lines() do
        list[#list + 1] = line
      end
      return list
    end

    it("come without the newline, empty ones too", function()
      assert.same({ "a", "", "b" }, lines_of "a\n\nb\n")
      assert.same({ "", "" }, lines_of "\n\n")
      assert.same({}, lines_of())
    end)

    it("come with the last one where its newline is missing", function()
      assert.same({ "a", "b" }, lines_of "a\nb")
    end)

    it("come whole from whatever pieces", function()
      local whole = "one\n\ntwo three\r\nfour"
      for split = 1, #whole - 1 do
        assert.same({ "one", "", "two three\r", "four" }, lines_of(whole:sub(1, split), whole:sub(split + 1)))
      end
    end)

    it("keep a carriage return", function()
      assert.same({ "a\r", "\r", "b\rc" }, lines_of "a\r\n\r\nb\rc\n")
    end)

    it("may be far longer than the high water mark, which stays as it is", function()
      local size = 3 * 1000 * 1000
      local sent = 0
      local s = stream.readable {
        high_water_mark = 1024,
        read = function(self)
          sent = sent + 1000
          if sent <= size then
            self:push(("x"):rep(1000))
          else
            self:push(sent == size + 1000 and "\nshort\n" or nil)
          end
        end,
      }
      local next_line = s:lines()
      assert.equal(size, #next_line())
      assert.equal("short", next_line())
      assert.is_nil(next_line())
      assert.equal(1024, s.high_water_mark)
    end)

    it("may be mixed with read", function()
      local s = stream.readable()
      s:push "head\n12345tail\n"
      local next_line = s:lines()
      assert.equal("head", next_line())
      assert.equal("12345", s:read(5))
      assert.equal("tail", next_line())
    end)

    it("end by nil and the error where the stream fails", function()
      local s = stream.readable()
      s:push "whole\npart"
      local next_line = s:lines()
      assert.equal("whole", next_line())
      later(s.destroy, s, "boom")
      assert.same({ n = 2, nil, "boom" }, table.pack(next_line()))
    end)
  end)

  describe("set_encoding", function()
    local whole = "aß€𝄞 漢字 🙂."

    it("cuts no character in data events, wherever the bytes are split", function()
      for split = 0, #whole do
        local s = stream.readable():set_encoding "utf8"
        local pieces = {}
        s:on("data", function(chunk)
          assert.is_truthy(utf8.len(chunk))
          assert.not_equal("", chunk)
          pieces[#pieces + 1] = chunk
        end)
        mw.sleep(1)
        s:push(whole:sub(1, split))
        s:push(whole:sub(split + 1))
        s:push(nil)
        s:wait "end"
        assert.equal(whole, table.concat(pieces))
      end
    end)

    it("cuts no character in reads of any count", function()
      for count = 1, 6 do
        local s = stream.readable():set_encoding "utf-8"
        for byte in whole:gmatch "." do
          s:push(byte)
        end
        s:push(nil)
        local pieces = {}
        for piece in
          function()
            return s:read(count)
          end
        do
          assert.is_truthy(utf8.len(piece))
          pieces[#pieces + 1] = piece
        end
        assert.equal(whole, table.concat(pieces))
      end
    end)

    it("gives the rest at the end, as it came", function()
      local s = stream.readable():set_encoding "utf8"
      s:push "a\xE2\x82"
      s:push(nil)
      assert.equal("a", s:read(1))
      assert.equal("\xE2\x82", s:read())
    end)

    it("holds for what is in the buffer, and for what comes after a change", function()
      local s = stream.readable()
      s:push "a\xE2"
      s:set_encoding "utf8"
      assert.equal("a", s:read())
      s:push "\x82"
      s:set_encoding "utf8"
      s:push "\xAC"
      assert.equal("€", s:read())
      s:push "\xE2\x82"
      s:set_encoding(nil)
      assert.equal("\xE2\x82", s:read())
      s:destroy()
    end)

    it("gives bytes without it", function()
      local s = stream.readable()
      s:push "\xE2\x82"
      assert.equal("\xE2", s:read(1))
    end)

    it("raises for encodings that there are not", function()
      local s = stream.readable()
      local message = misuse(function()
        s:set_encoding "latin1"
      end)
      assert.equal("set_encoding: bad argument 'encoding' ('utf8' or nil expected, got \"latin1\")", message)
    end)
  end)

  describe("destroy", function()
    it("without an error gives close alone, and drops what is buffered", function()
      local s = watch(stream.readable(), note, all_events)
      s:push "a"
      assert.equal(s, s:destroy())
      assert.equal("", text())
      assert.is_false(s:push "b")
      assert.equal("close", settled(text))
      assert.equal(0, s:readable_length())
    end)

    it("with an error gives error, then close", function()
      local s = watch(stream.readable(), note, all_events)
      s:destroy "boom"
      s:destroy "again"
      s:destroy()
      assert.equal("error:boom close", settled(text))
      assert.equal("boom", s.errored)
    end)

    it("with an error that nobody listens to is an uncaught exception, and close comes all the same", function()
      local list = uncaught(function()
        local s = watch(stream.readable(), note, { "close" })
        s:destroy "boom"
        settled(text)
      end)
      assert.equal("boom", list[1].error)
      assert.equal("close", text())
    end)

    it("within a data listener stops the data", function()
      local s = watch(stream.readable(), note, all_events)
      s:on("data", function()
        s:destroy()
      end)
      s:push "a"
      s:push "b"
      assert.equal("data:a close", settled(text))
    end)

    it("waits for the option destroy before close, and takes its error", function()
      local s = watch(
        stream.readable {
          destroy = function(_, err, done)
            note("destroy:" .. tostring(err))
            later(done, "D")
            later(done, "twice")
          end,
        },
        note,
        all_events
      )
      s:destroy()
      assert.equal("destroy:nil error:D close", settled(text))
    end)

    it("happens at the end of the block of a variable to be closed", function()
      local s = stream.readable()
      do
        local _ <close> = s
      end
      assert.is_true(s.destroyed)
    end)
  end)
end)

describe("a duplex stream", function()
  local note, text

  before_each(function()
    note, text = journal()
  end)

  it("has two sides that end for themselves, then closes, in Node's order", function()
    local d = watch(
      stream.duplex {
        write = function(self, chunk, done)
          note("w:" .. chunk)
          self:push(chunk)
          done()
        end,
        final = function(self, done)
          self:push(nil)
          done()
        end,
      },
      note,
      all_events
    )
    d:write("a", noting(note, "c1"))
    d:finish("b", noting(note, "cf"))
    assert.equal("w:a w:b data:a data:b c1 cf finish end close", settled(text))
  end)

  it("can be read after it was finished", function()
    local d = watch(stream.duplex(), note, all_events)
    d:finish "b"
    assert.equal("finish", settled(text))
    d:push "z"
    d:push(nil)
    assert.equal("finish data:z end close", settled(text))
  end)

  it("can be written after its end", function()
    local d = watch(stream.duplex(), note, all_events)
    d:push(nil)
    assert.equal("end", settled(text))
    assert.is_true(d:write "x")
    d:finish()
    assert.equal("end finish close", settled(text))
  end)

  it("tells both sides when it is destroyed", function()
    local d = watch(stream.duplex {
      write = function() end,
    }, note, { "error", "close" })
    d:write("a", noting(note, "c"))
    local reader = mw.go(d.read, d)
    mw.sleep(2)
    d:destroy "boom"
    assert.same({ n = 2, nil, "boom" }, table.pack(reader:join()))
    assert.equal("c:boom error:boom close", settled(text))
  end)
end)

describe("pipe", function()
  local note, text

  before_each(function()
    note, text = journal()
  end)

  it("brings all over, then finishes the destination", function()
    local w = watch(sink(note, { slow = 1, high_water_mark = 2 }), note, { "pipe", "finish", "unpipe", "close" })
    assert.equal(w, source(3, 4):pipe(w))
    assert.equal("pipe w:d1 w:d2 w:d3 finish unpipe close", settled(text))
  end)

  it("leaves the destination open where it is told so", function()
    local s = source(2, 4)
    local w = watch(sink(note), note, all_but_data)
    s:pipe(w, { finish = false })
    assert.equal("pipe w:d1 w:d2 unpipe", settled(text))
    for _, name in ipairs { "drain", "finish", "close" } do
      assert.equal(1, w:listener_count(name))
    end
    w:destroy()
  end)

  it("finishes the destination where the source has ended before", function()
    local s = stream.readable():resume()
    s:push(nil)
    s:wait "end"
    local w = watch(sink(note), note, { "finish" })
    s:pipe(w)
    assert.equal("finish", settled(text))
  end)

  it("never finishes process.stdout and process.stderr", function()
    local s = stream.readable()
    s:push(nil)
    s:pipe(process.stdout)
    s:pipe(process.stderr)
    s:wait "end"
    mw.sleep(1)
    for _, output in ipairs { process.stdout, process.stderr } do
      assert.is_true(output:write "")
      assert.equal(0, output:listener_count "drain" + output:listener_count "close")
    end
  end)

  it("is byte-exact with a slow destination, and keeps little in memory", function()
    local size, sent, most = 4 * 1024 * 1024, 0, 0
    local s
    s = stream.readable {
      read = function(self)
        if sent == size then
          return self:push(nil)
        end
        local chunk = string.pack("<I4", sent):rep(4096)
        sent = sent + #chunk
        self:push(chunk)
      end,
    }
    local taken = {}
    local w
    w = stream.writable {
      write = function(_, chunk, done)
        taken[#taken + 1] = chunk
        most = math.max(most, w:writable_length() + s:readable_length())
        timers.set_immediate(done)
      end,
    }
    s:pipe(w):wait "finish"
    local all = table.concat(taken)
    assert.equal(size, #all)
    for position = 0, size - 1, 16384 do
      assert.equal(position, (string.unpack("<I4", all, position + 1)))
    end
    assert.is_true(most <= 2 * 65536 + 2 * 16384, "held " .. most)
  end)

  it("goes as slowly as the slowest of two destinations", function()
    local most = 0
    local quick, slow
    quick = sink(note, { high_water_mark = 1 })
    slow = stream.writable {
      high_water_mark = 1,
      write = function(_, _, done)
        most = math.max(most, slow:writable_length())
        timers.set_timeout(done, 3)
      end,
    }
    local s = source(5, 1)
    s:pipe(quick)
    s:pipe(slow)
    slow:wait "finish"
    assert.equal(2, most)
    assert.equal("w:d1 w:d2 w:d3 w:d4 w:d5", settled(text))
  end)

  it("to one of two destinations goes on after unpipe of the other, also of one that is full", function()
    local s = stream.readable()
    local stuck = stream.writable { high_water_mark = 1, write = function() end }
    local w = sink(note)
    s:pipe(stuck)
    s:pipe(w)
    s:push "a"
    mw.sleep(1)
    assert.is_true(s:is_paused())
    assert.equal(s, s:unpipe(stuck))
    assert.is_false(s:is_paused())
    s:push "b"
    mw.sleep(1)
    assert.equal("w:a w:b", text())
    s:unpipe()
    assert.is_true(s:is_paused())
    s:push "c"
    mw.sleep(1)
    assert.equal("w:a w:b", text())
    assert.equal("c", s:read())
    assert.equal(0, s:listener_count "data" + s:listener_count "end" + s:listener_count "close")
    stuck:destroy()
  end)

  it("ends where the destination fails, and the source keeps the rest", function()
    local s = stream.readable()
    local w = watch(
      stream.writable {
        write = function(_, _, done)
          done "D"
        end,
      },
      note,
      all_but_data
    )
    s:pipe(w)
    s:push "a"
    mw.sleep(2)
    s:push "b"
    assert.equal("pipe error:D close unpipe", settled(text))
    assert.is_true(s:is_paused())
    assert.equal("b", s:read())
  end)

  it("leaves no listener on the destination where the source is destroyed", function()
    local s = stream.readable()
    local w = sink(note)
    s:pipe(w)
    s:destroy()
    mw.sleep(1)
    assert.equal(0, w:listener_count "drain" + w:listener_count "finish" + w:listener_count "close")
    assert.is_nil(w.destroyed)
  end)

  it("begins paused where the destination is full", function()
    local answer
    local w = stream.writable {
      high_water_mark = 1,
      write = function(_, chunk, done)
        note("w:" .. chunk)
        answer = done
      end,
    }
    w:write "first"
    local s = stream.readable()
    s:push "second"
    s:pipe(w)
    mw.sleep(2)
    assert.equal("w:first", text())
    answer()
    mw.sleep(2)
    assert.equal("w:first w:second", text())
    w:destroy()
  end)

  it("leaves a pause of the program's own alone at a drain of others", function()
    local s = stream.readable()
    local w = sink(note, { slow = 2, high_water_mark = 1 })
    s:pipe(w)
    w:write "other"
    s:pause()
    s:push "mine"
    mw.sleep(8)
    assert.equal("w:other", text())
    s:resume()
    assert.equal("w:other w:mine", settled(text))
  end)

  it("raises for what is no writable stream, and for unknown options", function()
    local s = stream.readable()
    for _, value in ipairs { 5, {}, emitter.new() } do
      assert.matches("^pipe: bad argument 'destination'", misuse(function()
        s:pipe(value)
      end))
    end
    assert.matches("^pipe: unknown option 'finnish', did you mean 'finish'%?", misuse(function()
      s:pipe(sink(note), { finnish = false })
    end))
  end)
end)

describe("a stream over a pipe", function()
  it("may be destroyed by a listener of its data", function()
    local child = child_process.spawn("cat", { stdio = { "pipe", "pipe", "ignore" } })
    local chunks = 0
    child.stdout:on("data", function()
      chunks = chunks + 1
      child.stdout:destroy()
    end)
    local list = uncaught(function()
      child.stdin:write "a"
      child.stdout:wait "close"
      child.stdin:finish()
      child:wait "close"
    end)
    assert.equal(0, #list)
    assert.equal(1, chunks)
  end)

  it("tells each write callback once where the reader is gone", function()
    local child = child_process.spawn("sleep", { "100" }, { stdio = { "pipe", "ignore", "ignore" } })
    local calls = {}
    child.stdin:on("error", function() end)
    for number = 1, 5 do
      child.stdin:write(("x"):rep(100000), function(err)
        calls[number] = (calls[number] or 0) + 1
        assert.is_not_nil(err)
      end)
    end
    child:kill "SIGKILL"
    child:wait "close"
    eventually(function()
      return #calls == 5
    end)
    mw.sleep(5)
    assert.same({ 1, 1, 1, 1, 1 }, calls)
  end)
end)

describe("the constructors", function()
  it("refuse unknown options and wrong values", function()
    for _, name in ipairs { "readable", "writable", "duplex" } do
      local what = "^stream%." .. name
      assert.matches(what .. ": unknown option 'raed'", misuse(function()
        stream[name] { raed = print }
      end))
      assert.matches(what .. ": bad option 'high_water_mark' %(integer of at least 1 expected", misuse(function()
        stream[name] { high_water_mark = 0 }
      end))
      assert.matches(what .. ": bad argument 'options' %(table expected", misuse(function()
        stream[name] "x"
      end))
    end
  end)

  it("change no table of options", function()
    local opts = { high_water_mark = 5 }
    stream.duplex(opts)
    assert.same({ high_water_mark = 5 }, opts)
  end)
end)
