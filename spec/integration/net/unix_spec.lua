local Scratch = require "spec.support.scratch"
local child_process = require "mw.child_process"
local children = require "spec.support.children"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local net = require "mw.net"
local sockets = require "spec.support.sockets"
local uv = require "luv"

local function mode_of(path)
  local stat = uv.fs_lstat(path)
  return stat and ("%o"):format(stat.mode & 511)
end

local function echo(socket)
  socket:pipe(socket)
end

describe("A Unix socket", function()
  local scratch, path

  before_each(function()
    scratch = Scratch.new()
    path = scratch.path .. "/socket"
  end)

  after_each(function()
    scratch:remove()
  end)

  it("is listened to and connected to by its path", function()
    local server, address = sockets.listen(echo, nil, { path = path })
    assert.equal(path, address)
    local client = net.connect(path)
    client:write "through"
    assert.equal("through", client:read())
    assert.is_nil(client.remote_address or client.remote_port or client.local_address)
    assert.same({}, client:address())
    sockets.close(client, server)
  end)

  it("is gone from its folder once the server is closed", function()
    local server = sockets.listen(nil, nil, { path = path })
    assert.equal("socket", uv.fs_lstat(path).type)
    server:close()
    assert.is_nil((uv.fs_lstat(path)))
    assert(server:wait "close")
  end)

  it("is gone after the process that listened has exited", function()
    local code = ("require('mw.net').create_server():listen(%q) os.exit(0)"):format(path)
    assert.equal(0, children.lua(code).code)
    assert.is_nil((uv.fs_lstat(path)))
  end)

  -- FD-07
  it("that somebody listens to already is EADDRINUSE", function()
    local first = sockets.listen(echo, nil, { path = path })
    local second = net.create_server():listen(path)
    local err = sockets.failure(second)
    assert.equal("EADDRINUSE", err.code)
    assert.equal(path, err.address)
    assert.equal("EADDRINUSE: address already in use, listen " .. path, tostring(err))
    local client = net.connect(path)
    client:write "still"
    assert.equal("still", client:read())
    sockets.close(client, first, second)
  end)

  it("in no folder is EACCES to listen to, as in Node, and ENOENT to connect to", function()
    local missing = scratch.path .. "/missing/socket"
    assert.equal("EACCES", sockets.failure(net.create_server():listen(missing)).code)
    local err = sockets.failure(net.connect(missing))
    assert.equal("ENOENT", err.code)
    assert.equal(missing, err.address)
    assert.is_nil(err.port)
    assert.equal("ENOENT: no such file or directory, connect " .. missing, tostring(err))
  end)

  it("whose server has died is ECONNREFUSED", function()
    local code = ("require('mw.net').create_server():listen(%q) print 'there'"):format(path)
    local child = children.start_lua(code)
    assert.equal("there", child.stdout:lines()())
    child:kill "SIGKILL"
    child:wait "close"
    assert.equal("ECONNREFUSED", sockets.failure(net.connect(path)).code)
  end)

  it("with too long a path is ENAMETOOLONG, and no other path is bound", function()
    local long = scratch.path .. "/" .. ("x"):rep(200)
    assert.equal("ENAMETOOLONG", sockets.failure(net.create_server():listen(long)).code)
    assert.equal("ENAMETOOLONG", sockets.failure(net.connect(long)).code)
    assert.same({}, Scratch.names(scratch.path))
    local longest = path .. ("x"):rep(107 - #path)
    local server = sockets.listen(echo, nil, { path = longest })
    local client = net.connect(longest)
    assert(client:wait "connect")
    sockets.close(client, server)
  end)

  -- FD-07
  it("gets its mode by readable_all and writable_all", function()
    local before = mw.process.umask "077"
    local modes = {}
    for index, what in ipairs {
      {},
      { readable_all = true },
      { writable_all = true },
      { readable_all = true, writable_all = true },
    } do
      what.path = path
      local server = sockets.listen(nil, nil, what)
      modes[index] = mode_of(path)
      sockets.close(server)
    end
    mw.process.umask(before)
    assert.same({ "700", "744", "722", "766" }, modes)
  end)

  it("may have an abstract name", function()
    local name = "\0mwrun-spec/" .. path
    local server, address = sockets.listen(echo, nil, { path = name })
    assert.equal(name, address)
    local client = net.connect { path = name }
    client:write "abstract"
    assert.equal("abstract", client:read())
    local err = sockets.failure(net.create_server():listen(name))
    assert.equal("EADDRINUSE", err.code)
    assert.matches("@mwrun-spec/", tostring(err), 1, true)
    sockets.close(client, server)
    assert.equal("ECONNREFUSED", sockets.failure(net.connect(name)).code)
  end)

  -- FD-07
  it("with an abstract name has no mode", function()
    local name = "\0mwrun-spec/mode/" .. path
    local server = net.create_server():listen { path = name, writable_all = true }
    assert.equal("EINVAL", sockets.failure(server).code)
    assert.equal("ECONNREFUSED", sockets.failure(net.connect(name)).code)
  end)

  it("may be half open", function()
    local server = sockets.listen(function(socket)
      local question = socket:read()
      assert.is_nil((socket:read()))
      socket:finish(question .. " answered")
    end, { allow_half_open = true }, { path = path })
    local client = net.connect { path = path, allow_half_open = true }
    client:finish "question"
    assert.equal("question answered", client:read())
    assert.is_nil((client:read()))
    sockets.close(client, server)
  end)

  it("can't be reset", function()
    local server = sockets.listen(sockets.resume, nil, { path = path })
    local client = net.connect(path)
    assert(client:wait "connect")
    client:reset_and_destroy()
    assert.equal("ERR_INVALID_HANDLE_TYPE", sockets.failure(client).code)
    sockets.close(server)
  end)

  it("carries much, both ways at once", function()
    local server = sockets.listen(echo, nil, { path = path })
    local client = net.connect(path)
    local text = ("0123456789"):rep(300000)
    local got = children.collect(client)
    client:finish(text)
    eventually(function()
      return client.closed
    end)
    assert.equal(#text, #got())
    assert.is_true(text == got())
    sockets.close(server)
  end)

  it("is understood by other programs", function()
    local server = sockets.listen(echo, nil, { path = path })
    local code = ([[
      const net = require("net");
      const socket = net.connect(%q, () => socket.end("from afar"));
      socket.pipe(process.stdout);
    ]]):format(path)
    local found = child_process.spawn_sync("node", { "--version" })
    if found.error then
      pending "no node here"
    end
    assert.equal("from afar", children.run("node", { "-e", code }).stdout)
    sockets.close(server)
  end)
end)
