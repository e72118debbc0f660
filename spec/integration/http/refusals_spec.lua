-- What must not be taken for a request: whoever stands in front of the server may
-- see the end of it elsewhere.

local net = require "mw.net"
local raw = require "spec.support.raw_http"
local turns = require "spec.support.turns"
local uv = require "luv"

local host = "Host: x\r\n"
local behind = "GET /behind HTTP/1.1\r\nHost: x\r\n\r\n"
local last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

local refused = {
  ["a folded header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: a\r\n b\r\n\r\n",
  ["a folded header with a tab"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: a\r\n\tb\r\n\r\n",
  ["a bare CR in a header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: a\rb\r\n\r\n",
  ["a bare CR behind a header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: a\r\r\n\r\n",
  ["a bare LF"] = "GET / HTTP/1.1\n" .. host .. "\r\n",
  ["a bare LF behind a header"] = "GET / HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n",
  ["a bare LF as the empty line"] = "GET / HTTP/1.1\r\nHost: x\r\n\n",
  ["a NUL in a header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: a\0b\r\n\r\n",
  ["a NUL in the target"] = "GET /\0 HTTP/1.1\r\n" .. host .. "\r\n",
  ["a control character in a header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: abcdefgh\1b\r\n\r\n",
  ["a control character before its value"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: \23b\r\n\r\n",
  ["a DEL in a header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: abcdefgh\127\r\n\r\n",
  ["a space before the colon"] = "GET / HTTP/1.1\r\n" .. host .. "X-A : b\r\n\r\n",
  ["a tab before the colon"] = "GET / HTTP/1.1\r\n" .. host .. "X-A\t: b\r\n\r\n",
  ["a header without a name"] = "GET / HTTP/1.1\r\n" .. host .. ": b\r\n\r\n",
  ["a header without a colon"] = "GET / HTTP/1.1\r\n" .. host .. "X-A\r\n\r\n",
  ["a header before the first"] = "GET / HTTP/1.1\r\n X-A: b\r\n" .. host .. "\r\n",
  ["no Host"] = "GET / HTTP/1.1\r\n\r\n",
  ["two of them"] = "GET / HTTP/1.1\r\n" .. host .. "host: y\r\n\r\n",
  ["HTTP/1.2"] = "GET / HTTP/1.2\r\n" .. host .. "\r\n",
  ["HTTP/2.0"] = "GET / HTTP/2.0\r\n" .. host .. "\r\n",
  ["HTTP/0.9"] = "GET /\r\n\r\n",
  ["HTTP/11.1"] = "GET / HTTP/11.1\r\n" .. host .. "\r\n",
  ["another protocol"] = "GET / HTTPS/1.1\r\n" .. host .. "\r\n",
  ["almost this protocol"] = "GET / HTXP/1.1\r\n" .. host .. "\r\n",
  ["two spaces before the target"] = "GET  / HTTP/1.1\r\n" .. host .. "\r\n",
  ["two spaces behind the target"] = "GET /  HTTP/1.1\r\n" .. host .. "\r\n",
  ["a space behind the version"] = "GET / HTTP/1.1 \r\n" .. host .. "\r\n",
  ["a tab in the request line"] = "GET\t/ HTTP/1.1\r\n" .. host .. "\r\n",
  ["a method that is none"] = "G=T / HTTP/1.1\r\n" .. host .. "\r\n",
  ["a method in lower case"] = "get / HTTP/1.1\r\n" .. host .. "\r\n",
  ["a bare LF before it"] = "\nGET / HTTP/1.1\r\n" .. host .. "\r\n",
  ["a bare CR before it"] = "\rGET / HTTP/1.1\r\n" .. host .. "\r\n",
  ["a space before it"] = " GET / HTTP/1.1\r\n" .. host .. "\r\n",
  ["no target"] = "GET HTTP/1.1\r\n" .. host .. "\r\n",
  ["a version with a zero more"] = "GET / HTTP/1.01\r\n" .. host .. "\r\n",
  ["a version in lower case"] = "GET / http/1.1\r\n" .. host .. "\r\n",
  ["a byte above ASCII in a name"] = "GET / HTTP/1.1\r\n" .. host .. "X-\xc3\xa4: b\r\n\r\n",
  ["a NUL in a name"] = "GET / HTTP/1.1\r\n" .. host .. "X\0A: b\r\n\r\n",
  ["a folded length"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length:\r\n 5\r\n\r\nhello",
  ["a space before the colon of a length"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length : 5\r\n\r\nhello",
  ["a space before the colon of a coding"] = "POST / HTTP/1.1\r\n" .. host
    .. "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
  ["a length with a fraction"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 5.0\r\n\r\nhello",
  ["a length behind a vertical tab"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: \v5\r\n\r\nhello",
  ["the third length another one"] = "POST / HTTP/1.1\r\n" .. host
    .. "Content-Length: 5\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello",
  ["identity behind"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
  ["identity behind, in two lines"] = "POST / HTTP/1.1\r\n" .. host
    .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
  ["a coding with a parameter"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
  ["a coding in quotes"] = "POST / HTTP/1.1\r\n" .. host .. 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
  ["codings without a comma"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: gzip chunked\r\n\r\n0\r\n\r\n",
  ["an empty coding behind"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
  ["a vertical tab behind chunked"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked\v\r\n\r\n0\r\n\r\n",
  ["noise"] = "\22\3\1\2\0\1\0\1\252\3\3\r\n\r\n",
  ["a length with a sign"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: +5\r\n\r\nhello",
  ["a negative length"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: -5\r\n\r\nhello",
  ["a length in hexadecimal"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 0x5\r\n\r\nhello",
  ["a length with a space"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 5 5\r\n\r\nhello",
  ["a list of lengths"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 5, 5\r\n\r\nhello",
  ["an empty length"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length:\r\n\r\nhello",
  ["a length without end"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 99999999999999999999\r\n\r\nhello",
  ["two lengths"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
  ["both framings"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ["both, the other way"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
  ["another coding"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: gzip\r\n\r\n",
  ["another coding behind"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
  ["chunked twice"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
  ["chunked twice in two lines"] = "POST / HTTP/1.1\r\n" .. host
    .. "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ["identity"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: identity\r\n\r\n",
  ["almost chunked"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
  ["chunked with a vertical tab"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: \11chunked\r\n\r\n0\r\n\r\n",
  ["an empty coding"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: \r\n\r\n0\r\n\r\n",
  ["chunked in HTTP/1.0"] = "POST / HTTP/1.0\r\n" .. host .. "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

local malformed_chunks = {
  ["no size"] = "\r\nhello\r\n0\r\n\r\n",
  ["a size that is none"] = "x\r\nhello\r\n0\r\n\r\n",
  ["a sign"] = "+5\r\nhello\r\n0\r\n\r\n",
  ["a prefix"] = "0x5\r\nhello\r\n0\r\n\r\n",
  ["a space before it"] = " 5\r\nhello\r\n0\r\n\r\n",
  ["a space behind it"] = "5 \r\nhello\r\n0\r\n\r\n",
  ["a size without end"] = "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
  ["a bare LF behind it"] = "5\nhello\r\n0\r\n\r\n",
  ["a bare CR behind it"] = "5\rhello\r\n0\r\n\r\n",
  ["a bare LF in an extension"] = "5;a\nhello\r\n0\r\n\r\n",
  ["more data than it says"] = "4\r\nhello\r\n0\r\n\r\n",
  ["less data than it says"] = "6\r\nhello\r\n0\r\n\r\n",
  ["a bare LF behind the data"] = "5\r\nhello\n0\r\n\r\n",
  ["a folded trailer"] = "5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n",
  ["a minus"] = "-5\r\nhello\r\n0\r\n\r\n",
  ["an underscore in it"] = "0_5\r\nhello\r\n0\r\n\r\n",
  ["a tab behind it"] = "5\t\r\nhello\r\n0\r\n\r\n",
  ["a size that overflows to what is there"] = "10000000000000005\r\nhello\r\n0\r\n\r\n",
  ["zeros without end before it"] = ("0"):rep(100) .. "5\r\nhello\r\n0\r\n\r\n",
  ["a NUL in an extension"] = "5;a\0\r\nhello\r\n0\r\n\r\n",
  ["a bare CR in an extension"] = "5;a\rb\r\nhello\r\n0\r\n\r\n",
  ["extensions without end"] = "5;" .. ("a"):rep(20000) .. "\r\nhello\r\n0\r\n\r\n",
  ["an extension each, without end"] = ("1;aaaaaaaaaaaaaaaa\r\nx\r\n"):rep(2000) .. "0\r\n\r\n",
  ["trailers without end"] = "0\r\n" .. ("X-A: b\r\n"):rep(3000) .. "\r\n",
  ["a trailer without a colon"] = "5\r\nhello\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
  ["a trailer without a name"] = "5\r\nhello\r\n0\r\n: b\r\n\r\n",
  ["a space before a trailer's colon"] = "5\r\nhello\r\n0\r\nX-A : b\r\n\r\n",
  ["a NUL in a trailer"] = "5\r\nhello\r\n0\r\nX-A: \0\r\n\r\n",
  ["a bare LF behind a trailer"] = "5\r\nhello\r\n0\r\nX-A: b\n\r\n",
  ["a bare CR at the end"] = "5\r\nhello\r\n0\r\n\r\r\n",
  ["a bare LF at the end"] = "5\r\nhello\r\n0\r\n\n",
}

-- Sends the bytes on many connections, cut at another place each time; returns
-- the cuts for which the answers are not those, and what they were.
local function answers_in_two_pieces(server, bytes, wanted)
  local sockets, others = {}, {}
  for cut = 1, #bytes - 1 do
    local pair = uv.socketpair("stream", nil, { nonblock = true }, { nonblock = true })
    sockets[cut] = net.Socket.new { fd = pair[2], allow_half_open = true }
    assert(server:_take_descriptor(pair[1]))
    sockets[cut]:on("error", function() end)
    sockets[cut]:write(bytes:sub(1, cut))
  end
  turns(2)
  for cut, socket in ipairs(sockets) do
    socket:write(bytes:sub(cut + 1))
    socket:finish()
  end
  for cut, socket in ipairs(sockets) do
    local answers = raw.statuses((raw.read_until(socket)))
    socket:destroy()
    if answers ~= wanted then
      others[cut] = answers
    end
  end
  return others
end

describe("A request is refused, and nothing behind it read, with", function()
  local server, port, urls

  before_each(function()
    urls = {}
    server, port = raw.serve(function(req, res)
      urls[#urls + 1] = req.url
      req:body()
      res:finish "taken"
    end)
  end)

  after_each(function()
    raw.close(server)
  end)

  for what, request in pairs(refused) do
    it(what, function()
      local text, err = raw.send(port, request .. behind)
      assert.is_nil(err)
      assert.matches("^HTTP/1%.1 400 Bad Request\r\n", text)
      assert.matches("\r\nConnection: close\r\n", text)
      assert.equal("400", raw.statuses(text))
      assert.same({}, urls)
    end)
  end

  for what, request in pairs(refused) do
    it(what .. ", in any two pieces", function()
      assert.same({}, answers_in_two_pieces(server, request .. behind, "400"))
      assert.same({}, urls)
    end)
  end

  for what, chunks in pairs(malformed_chunks) do
    it("chunks that have " .. what, function()
      local head = "POST /bad HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked\r\n\r\n"
      local text, err = raw.send(port, head .. chunks .. behind)
      assert.is_nil(err)
      assert.equal("400", raw.statuses(text))
      assert.same({ "/bad" }, urls)
    end)

    if #chunks < 100 then
      it("chunks that have " .. what .. ", in any two pieces", function()
        local head = "POST /bad HTTP/1.1\r\n" .. host .. "Transfer-Encoding: chunked\r\n\r\n"
        assert.same({}, answers_in_two_pieces(server, head .. chunks .. behind, "400"))
        for _, url in ipairs(urls) do
          assert.equal("/bad", url)
        end
      end)
    end
  end

  it("anything wrong, behind one that is answered", function()
    local text = raw.send(port, behind .. refused["a folded header"] .. behind)
    assert.equal("200 400", raw.statuses(text))
    assert.same({ "/behind" }, urls)
  end)

  it("an expectation that nobody knows, by 417", function()
    assert.equal("417", raw.statuses((raw.request(port, "GET /", "Expect: 200-maybe\r\n"))))
  end)
end)

describe("A request is taken with", function()
  local taken = {
    ["an empty line before it"] = "\r\n\r\nGET / HTTP/1.1\r\n" .. host .. "\r\n",
    ["spaces around a length"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length:  5  \r\n\r\nhello",
    ["chunked in any case"] = "POST / HTTP/1.1\r\n" .. host .. "Transfer-Encoding: CHUNKed\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ["another coding below chunked"] = "POST / HTTP/1.1\r\n" .. host
      .. "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ["extensions and trailers"] = "POST / HTTP/1.1\r\n" .. host
      .. "Transfer-Encoding: chunked\r\n\r\n05;a=b;c=\"d\"\r\nhello\r\n0;e\r\nX-A: b\r\n\r\n",
    ["the same length twice"] = "POST / HTTP/1.1\r\n" .. host
      .. "Content-Length: 5\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello",
    ["a length that begins with zeros"] = "POST / HTTP/1.1\r\n" .. host .. "Content-Length: 0005\r\n\r\nhello",
    ["trailers that would be framing"] = "POST / HTTP/1.1\r\n" .. host
      .. "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\n\r\n",
    ["a header that is almost framing"] = "POST / HTTP/1.1\r\n" .. host
      .. "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello",
    ["an empty header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A:\r\n\r\n",
    ["an absolute target"] = "GET http://x/y HTTP/1.1\r\n" .. host .. "\r\n",
    ["bytes above ASCII in a header"] = "GET / HTTP/1.1\r\n" .. host .. "X-A: \xc3\xa4\r\n\r\n",
  }
  for what, request in pairs(taken) do
    it(what, function()
      local bodies = {}
      local server, port = raw.serve(function(req, res)
        bodies[#bodies + 1] = req:body()
        res:finish()
      end)
      assert.equal("200 200", raw.statuses((raw.send(port, request .. last))))
      assert.same({ request:find "hello" and "hello" or "", "" }, bodies)
      assert.same({}, answers_in_two_pieces(server, request .. last, "200 200"))
      for index, body in ipairs(bodies) do
        assert.is_true(body == bodies[1] or body == bodies[2], index .. ": " .. body)
      end
      raw.close(server)
    end)
  end
end)
