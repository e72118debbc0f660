local http = require "mw.http"
local mw = require "mw"
local raw = require "spec.support.raw_http"
local uv = require "luv"

describe("Files of a folder", function()
  local base, server, port

  local function put(path, text)
    local file <close> = assert(io.open(base .. path, "w"))
    file:write(text)
  end

  setup(function()
    base = assert(uv.fs_mkdtemp((os.getenv "TMPDIR" or "/tmp") .. "/mwrun-static-XXXXXX"))
    for _, folder in ipairs { "/in", "/in/sub" } do
      assert(uv.fs_mkdir(base .. folder, 448))
    end
    put("/secret", "secret")
    put("/in/a.txt", "0123456789")
    put("/in/a b.html", "<p>")
    put("/in/.hidden", "hidden")
    put("/in/sub/index.html", "index")
    put("/in/empty", "")
    assert(uv.fs_symlink(base .. "/secret", base .. "/in/link"))
    assert(uv.fs_symlink("a.txt", base .. "/in/inner"))
  end)

  teardown(function()
    mw.child_process.exec_file_sync("rm", { "-r", base })
  end)

  before_each(function()
    server, port = raw.serve(http.static(base .. "/in", { max_age = 60 }))
  end)

  after_each(function()
    raw.close(server)
  end)

  local function get(path, headers, method)
    local response = raw.request(port, (method or "GET") .. " " .. path, headers)
    return raw.statuses(response) .. " " .. raw.body_of(response), response
  end

  it("are sent with type, length, tag and time", function()
    local answer, response = get "/a.txt"
    assert.equal("200 0123456789", answer)
    for _, line in ipairs {
      "Content%-Type: text/plain; charset=utf%-8",
      "Content%-Length: 10",
      'ETag: "a%-%x+%.%x+"',
      "Last%-Modified: %a+, %d+ %a+ %d+ [%d:]+ GMT",
      "Accept%-Ranges: bytes",
      "Cache%-Control: public, max%-age=60",
    } do
      assert.matches("\r\n" .. line .. "\r\n", response)
    end
    assert.equal("200 ", (get("/a.txt", "", "HEAD")))
    assert.equal("200 <p>", (get "/a%20b.html"))
    assert.equal("200 ", (get "/empty"))
    assert.equal("200 0123456789", (get "/inner"))
  end)

  it("are found as the index of a folder", function()
    assert.equal("200 index", (get "/sub/"))
    local answer, response = get "/sub"
    assert.equal("301 ", answer)
    assert.matches("\r\nLocation: /sub/\r\n", response)
    assert.matches("\r\nLocation: /sub/\r\n", (select(2, get "//sub")))
  end)

  it("are all that is reached", function()
    for _, path in ipairs {
      "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/sub/../../secret", "/link", "/.hidden", "/a.txt/", "/%00", "/a.txt%00",
      "/..%5csecret", "/none", "/./a.txt",
    } do
      assert.equal("404 ", (get(path)), path)
    end
    assert.equal("405 ", (get("/a.txt", "", "DELETE")))
  end)

  it("are sent in part", function()
    for range, answer in pairs {
      ["0-3"] = "206 0123",
      ["8-"] = "206 89",
      ["-3"] = "206 789",
      ["-100"] = "206 0123456789",
      ["5-100"] = "206 56789",
      ["10-"] = "416 ",
      ["-0"] = "416 ",
      ["5-4"] = "200 0123456789",
      ["x"] = "200 0123456789",
      ["0-1,3-4"] = "200 0123456789",
    } do
      assert.equal(answer, (get("/a.txt", ("Range: bytes=%s\r\n"):format(range))), range)
    end
    local _, response = get("/a.txt", "Range: bytes=2-3\r\n")
    assert.matches("\r\nContent%-Range: bytes 2%-3/10\r\n", response)
    assert.equal("200 0123456789", (get("/a.txt", 'Range: bytes=2-3\r\nIf-Range: "other"\r\n')))
  end)

  it("are not sent to one who has them", function()
    local _, response = get "/a.txt"
    local tag, date = response:match 'ETag: ("[^"]+")', response:match "Last%-Modified: ([^\r]+)"
    assert.equal("304 ", (get("/a.txt", ("If-None-Match: W/%s\r\n"):format(tag))))
    assert.equal("304 ", (get("/a.txt", ('If-None-Match: "x", %s\r\n'):format(tag))))
    assert.equal("200 0123456789", (get("/a.txt", 'If-None-Match: "x"\r\n')))
    assert.equal("304 ", (get("/a.txt", ("If-Modified-Since: %s\r\n"):format(date))))
  end)

  it("of many megabytes come whole, and their descriptors are closed", function()
    put("/in/large", ("0123456789abcdef"):rep(1024 * 1024))
    local answer = get "/large"
    assert.equal(16 * 1024 * 1024 + 4, #answer)
    local socket = raw.connect(port)
    socket:write "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
    raw.read_until(socket, "\r\n\r\n")
    socket:destroy()
  end)

  it("leave the rest to the next handler", function()
    local router = http.router.new()
    router:use(http.static(base .. "/in"))
    router:get("/other", function(_, res)
      res:finish "other"
    end)
    local other = http.create_server(router)
    other:listen(0, "127.0.0.1")
    assert.equal("other", raw.body_of(raw.request(other:address().port, "GET /other")))
    assert.equal("0123456789", raw.body_of(raw.request(other:address().port, "GET /a.txt")))
    raw.close(other)
  end)
end)
