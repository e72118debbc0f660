local http = require "mw.http"
local misuse = require "spec.support.misuse"
local raw = require "spec.support.raw_http"

-- Sends a request line to a server of this router: status and body.
local function ask(router, line, headers)
  local server = http.create_server(router)
  server:listen(0, "127.0.0.1")
  local response = raw.request(server:address().port, line, headers)
  raw.close(server)
  return raw.statuses(response) .. " " .. raw.body_of(response), response
end

local function say(text)
  return function(req, res)
    local names = {}
    for name, value in pairs(req.params) do
      names[#names + 1] = name .. "=" .. value
    end
    table.sort(names)
    res:finish(text .. "(" .. table.concat(names, ",") .. ")")
  end
end

describe("A router", function()
  local router

  before_each(function()
    router = http.router.new()
    router:get("/", say "root")
    router:get("/users/:id", say "user")
    router:post("/users", say "new")
    router:delete("/users/:id", say "gone")
    router:get("/users/:id/posts/:post", say "post")
    router:all("/files/*path", say "file")
    router:route("PURGE", "/cache", say "purged")
  end)

  it("finds the handler by method and path", function()
    for line, answer in pairs {
      ["GET /"] = "200 root()",
      ["GET /?a=b"] = "200 root()",
      ["GET /users/7"] = "200 user(id=7)",
      ["GET /users/a%20b%2Fc+d"] = "200 user(id=a b/c+d)",
      ["POST /users"] = "200 new()",
      ["DELETE /users/7"] = "200 gone(id=7)",
      ["GET /users/7/posts/8"] = "200 post(id=7,post=8)",
      ["PUT /files/a/b.txt"] = "200 file(path=a/b.txt)",
      ["PURGE /cache"] = "200 purged()",
      ["HEAD /users/7"] = "200 ",
      ["GET /nothing"] = "404 ",
      ["GET /users/7/nothing"] = "404 ",
    } do
      assert.equal(answer, (ask(router, line)))
    end
  end)

  it("says which methods there are", function()
    local answer, response = ask(router, "PATCH /users/7")
    assert.equal("405 ", answer)
    assert.matches("\r\nAllow: DELETE, GET\r\n", response)
  end)

  it("goes through middleware, and back", function()
    local order = {}
    local function layer(name)
      return function(_, _, go_on)
        table.insert(order, name)
        go_on()
        table.insert(order, name .. "'")
      end
    end
    local other = http.router.new()
    other:use(layer "a")
    other:use("/api", layer "b", layer "c")
    other:get("/api/x", say "x")
    other:get("/y", say "y")
    assert.equal("200 x()", (ask(other, "GET /api/x")))
    assert.equal("a b c c' b' a'", table.concat(order, " "))
    order = {}
    assert.equal("200 y()", (ask(other, "GET /y")))
    assert.equal("a a'", table.concat(order, " "))
  end)

  it("stops where middleware answers", function()
    local guarded = http.router.new()
    guarded:use(function(req, res, go_on)
      if req:get_header "Authorization" ~= "yes" then
        res.status_code = 401
        return res:finish()
      end
      return go_on()
    end)
    guarded:get("/", say "in")
    assert.equal("401 ", (ask(guarded, "GET /")))
    assert.equal("200 in()", (ask(guarded, "GET /", "Authorization: yes\r\n")))
  end)

  it("can stand in another", function()
    local outer = http.router.new()
    outer:use("/users", router)
    outer:get("/last", say "last")
    assert.equal("200 user(id=7)", (ask(outer, "GET /users/7")))
    assert.equal("200 last()", (ask(outer, "GET /last")))
    assert.equal("404 ", (ask(outer, "GET /users/7/nothing")))
  end)

  it("raises where a path or handler is none", function()
    assert.matches("^get: bad argument 'path'", misuse(function()
      router:get("x", say "x")
    end))
    assert.equal("get: a handler expected", misuse(function()
      router:get "/x"
    end))
    assert.matches("stands at the end", misuse(function()
      router:get("/*a/b", say "x")
    end))
  end)
end)

describe("Cookies", function()
  it("go both ways", function()
    local server, port = raw.serve(function(req, res)
      res:set_cookie("a", "b; c", { max_age = 5, http_only = true, secure = true, same_site = "lax", domain = "x.org" })
      res:set_cookie("when", "", { expires = 0, path = "/p" })
      res:json(req.cookies)
    end)
    local response = raw.request(port, "GET /", 'Cookie: one=1; two="a%20b+c"; one=2; bad\r\n')
    assert.matches("\r\nSet-Cookie: a=b%3B%20c; Path=/; Domain=x.org; Max-Age=5; Secure; HttpOnly; SameSite=Lax\r\n",
      response, 1, true)
    assert.matches("\r\nSet-Cookie: when=; Path=/p; Expires=Thu, 01 Jan 1970 00:00:00 GMT\r\n", response, 1, true)
    local cookies = require("mw.json").decode(raw.body_of(response))
    assert.same({ one = "1", two = "a b+c" }, cookies)
    raw.close(server)
  end)

  it("can't end their line or be another", function()
    local messages = {}
    local server, port = raw.serve(function(_, res)
      for index, case in ipairs { { "a=b", "" }, { "a", "b", { path = "/;x" } }, { "a", "b", { same_site = "x" } } } do
        messages[index] = select(2, pcall(res.set_cookie, res, table.unpack(case))):match "set_cookie: bad %a+ '[%a_]+'"
      end
      res:finish()
    end)
    raw.request(port)
    assert.same({ "set_cookie: bad argument 'name'", "set_cookie: bad option 'path'", "set_cookie: bad option 'same_site'" },
      messages)
    raw.close(server)
  end)
end)
