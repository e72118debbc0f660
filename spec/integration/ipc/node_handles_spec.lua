-- Handles between mwrun and Node, both ways.

local children = require "spec.support.children"
local dgram = require "mw.dgram"
local eventually = require "spec.support.eventually"
local mw = require "mw"
local node = require "spec.support.node"
local scratch = require "spec.support.scratch"
local sockets = require "spec.support.sockets"
local transfers = require "spec.support.transfers"
local udp = require "spec.support.udp"

local folder

local function in_folder()
  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    folder:remove()
  end)
end

describe("A Node child", function()
  in_folder()

  local function start(code)
    local child = node.start(folder:write("child.js", code))
    local arrivals = {}
    child:on("message", function(message, handle)
      arrivals[#arrivals + 1] = { message, handle }
    end)
    return child, arrivals
  end

  local function ask(port)
    local client = mw.net.connect(port, "127.0.0.1")
    local answer = client:read()
    sockets.close(client)
    return answer
  end

  local function end_of(child)
    child:disconnect()
    assert.equal(0, children.finish(child).code)
  end

  -- HANDLE-01
  node.it("serves our server, and acknowledges it", function()
    local child, arrivals = start [[
      process.on('message', (m, server) => {
        server.on('connection', socket => socket.end('node'))
        process.on('disconnect', () => server.close())
        process.send({ m, listening: server.listening })
      })
    ]]
    local server, port = sockets.listen()
    local called = 0
    child:send("server", server, function(err)
      assert(err == nil)
      called = called + 1
    end)
    server:close()
    assert.same({ m = "server", listening = true }, (transfers.arrived(arrivals)))
    eventually(function()
      return called == 1
    end)
    for _ = 1, 3 do
      assert.equal("node", ask(port))
    end
    end_of(child)
  end)

  -- HANDLE-02, HANDLE-05
  node.it("gets our sockets, each with its own message", function()
    local child, arrivals = start [[
      process.on('message', (m, socket) => {
        if (socket) socket.end('node got ' + m)
        process.send([m, socket !== undefined])
      })
    ]]
    local server, port = sockets.listen(function(socket)
      child:send("socket", socket)
      child:send "behind"
    end)
    child:send "before"
    local clients = {}
    for index = 1, 10 do
      clients[index] = mw.net.connect(port, "127.0.0.1")
    end
    for _, client in ipairs(clients) do
      assert.equal("node got socket", transfers.read_all(client))
    end
    transfers.arrived(arrivals, 21)
    assert.same({ "before", false }, arrivals[1][1])
    for index = 2, 20, 2 do
      assert.same({ "socket", true }, arrivals[index][1])
      assert.same({ "behind", false }, arrivals[index + 1][1])
    end
    sockets.close(server, table.unpack(clients))
    end_of(child)
  end)

  -- HANDLE-12
  node.it("gets our UDP sockets", function()
    local child, arrivals = start [[
      process.on('message', (m, socket) => {
        socket.on('message', (text, rinfo) => socket.send('node ' + text, rinfo.port, () => socket.close()))
        process.send(socket.type)
      })
    ]]
    local socket = udp.bound()
    local port = udp.port(socket)
    child:send("socket", socket)
    socket:close()
    assert.equal("udp4", (transfers.arrived(arrivals)))
    local client = dgram.create_socket "udp4"
    client:send("x", port, "127.0.0.1")
    assert.equal("node x", (client:wait("message", 5000)))
    udp.close(client)
    end_of(child)
  end)

  -- HANDLE-14
  node.it("gets handles of luv", function()
    local child, arrivals = start [[
      process.on('message', (m, handle) => {
        process.send(handle.constructor.name)
        handle.close()
      })
    ]]
    local tcp = require("luv").new_tcp()
    tcp:bind("127.0.0.1", 0)
    child:send("tcp", tcp)
    assert.equal("TCP", (transfers.arrived(arrivals)))
    tcp:close()
    end_of(child)
  end)

  node.it("sends us its server and its sockets", function()
    local child, arrivals = start [[
      const net = require('net')
      const server = net.createServer(socket => process.send('socket', socket))
      server.listen(0, '127.0.0.1', () => {
        const shared = net.createServer()
        shared.listen(0, '127.0.0.1', () => process.send(server.address().port, shared, () => shared.close()))
      })
      process.on('message', () => server.close(() => process.disconnect()))
    ]]
    local port, server = transfers.arrived(arrivals)
    server:on("connection", function(socket)
      socket:finish "mwrun"
      socket:resume()
    end)
    assert.equal("mwrun", ask(server:address().port))
    local client = mw.net.connect(port, "127.0.0.1")
    local _, socket = transfers.arrived(arrivals, 2)
    socket:finish "from a socket of Node"
    assert.equal("from a socket of Node", transfers.read_all(client))
    child:send "end"
    sockets.close(client, socket, server)
    assert.equal(0, children.finish(child).code)
  end)

  -- HANDLE-13
  node.it("waits with close until we have closed its sockets", function()
    local child, arrivals = start [[
      const net = require('net')
      const server = net.createServer(socket => process.send('socket', socket))
      server.listen(0, '127.0.0.1', () => process.send(server.address().port))
      process.on('message', m => {
        if (m === 'count') server.getConnections((err, n) => process.send({ n }))
        else server.close(() => process.disconnect())
      })
    ]]
    local port = transfers.arrived(arrivals)
    local client = mw.net.connect(port, "127.0.0.1")
    local _, socket = transfers.arrived(arrivals, 2)
    child:send "count"
    assert.same({ n = 1 }, (transfers.arrived(arrivals, 3)))
    child:send "close"
    child:send "count" -- while it closes, Node counts each process as one more
    assert.same({ n = 2 }, (transfers.arrived(arrivals, 4)))
    assert.is_true(child.connected)
    sockets.close(socket, client)
    assert.equal(0, children.finish(child).code)
  end)

  -- HANDLE-13
  node.it("tells how many of our connections it has", function()
    local child, arrivals = start [[
      const sockets = []
      process.on('message', (m, socket) => {
        if (socket) { sockets.push(socket); socket.resume(); process.send('kept') }
        else sockets.pop().destroy()
      })
    ]]
    local server, port = sockets.listen(function(socket)
      child:send("socket", socket)
    end)
    local clients = {}
    for index = 1, 2 do
      clients[index] = mw.net.connect(port, "127.0.0.1")
      clients[index]:resume()
    end
    transfers.arrived(arrivals, 2)
    assert.equal(2, server:get_connections())
    child:send "close"
    eventually(function()
      return server:get_connections() == 1
    end)
    local closed = false
    server:close(function()
      closed = true
    end)
    assert.equal(1, server:get_connections())
    assert.is_false(closed)
    child:send "close"
    eventually(function()
      return closed
    end)
    sockets.close(table.unpack(clients))
    end_of(child)
  end)

  node.it("that is killed with our socket under way: the client sees the end", function()
    local child, arrivals = start "process.on('message', () => {}); process.send('ready')"
    transfers.arrived(arrivals)
    transfers.stop(child)
    local client, accepted, server = sockets.pair()
    client:resume()
    local called = {}
    child:send("socket", accepted, function(err)
      called[#called + 1] = err and err.code or "ok"
    end)
    child:kill "SIGKILL"
    eventually(function()
      return client.closed and #called == 1
    end)
    assert.is_true(called[1] == "ERR_IPC_CHANNEL_CLOSED" or called[1] == "EPIPE", called[1])
    eventually(function()
      return child.destroyed
    end)
    sockets.close(server)
  end)

  -- HANDLE-08
  node.it("and we send handles at once without a deadlock", function()
    local child, arrivals = start [[
      const net = require('net')
      const server = net.createServer()
      server.listen(0, '127.0.0.1', () => {
        for (let n = 0; n < 20; n++) process.send(n, server, () => { if (n === 19) server.close() })
      })
      let seen = 0
      process.on('message', (m, handle) => {
        handle.close()
        if (++seen === 20) process.send('all')
      })
    ]]
    local server = sockets.listen()
    for number = 1, 20 do
      child:send(number, server)
    end
    transfers.arrived(arrivals, 21)
    for _, arrival in ipairs(arrivals) do
      if arrival[2] then
        arrival[2]:close()
      else
        assert.equal("all", arrival[1])
      end
    end
    sockets.close(server)
    end_of(child)
  end)

  -- IPC-20
  node.it("may make internal messages up: they are ignored", function()
    local child, arrivals = start [[
      process.send({ cmd: 'NODE_HANDLE', type: 'net.Socket', msg: 'forged' })
      process.send({ cmd: 'NODE_HANDLE_ACK' })
      process.send({ cmd: 'NODE_HANDLE_NACK' })
      process.send({ cmd: 'NODE_HANDLE_LOST', number: 5 })
      for (const cmd of ['GET_COUNT', 'COUNT', 'NOTIFY_CLOSE', 'ALL_CLOSED'])
        for (const key of [undefined, 'x', 5, { a: 1 }, null]) process.send({ cmd: 'NODE_SOCKET_' + cmd, key, count: 'x' })
      process.send('end')
    ]]
    assert.equal("end", (transfers.arrived(arrivals)))
    assert.equal(0, children.finish(child).code)
    assert.equal(1, #arrivals)
  end)
end)

describe("A script that Node has forked", function()
  in_folder()

  -- Runs a parent in Node, whose child is the script; both end by themselves.
  local function run(lua, javascript)
    local script = folder:write("child.lua", 'local mw = require "mw" local process = mw.process; ' .. lua)
    local program = folder:write(
      "parent.js",
      [[
      const net = require('net'), dgram = require('dgram')
      const child = require('child_process').fork(process.argv[2], [], { execPath: process.argv[3], execArgv: [] })
      child.on('exit', (code, signal) => console.log('exit', code, signal))
      const read = (port, done) => {
        let text = ''
        net.connect(port, '127.0.0.1').on('data', d => { text += d }).on('end', () => done(text))
      }
    ]] .. javascript
    )
    local result = children.run("node", { program, script, mw.process.exec_path }, { timeout = 20000 })
    assert.equal("", result.stderr)
    return result.stdout
  end

  node.it("serves Node's server", function()
    local stdout = run(
      [[
      process.on("message", function(message, server)
        if server then
          server:on("connection", function(socket) socket:finish("mwrun") socket:resume() end)
          process.on("disconnect", function() server:close() end)
          process.send "serving"
        end
      end)
    ]],
      [[
      const server = net.createServer()
      server.listen(0, '127.0.0.1', () => {
        const port = server.address().port
        child.send('server', server, () => server.close())
        child.on('message', m => read(port, text => { console.log(m, text); child.disconnect() }))
      })
    ]]
    )
    assert.equal("serving mwrun\nexit 0 null\n", stdout)
  end)

  -- HANDLE-13
  node.it("has Node's sockets, which Node's server waits for", function()
    local stdout = run(
      [[
      process.on("message", function(message, socket)
        if socket then
          socket:write "mwrun"
          _G.socket = socket
        else
          process.send "closing"
          _G.socket:finish()
          _G.socket:resume()
        end
      end)
    ]],
      [[
      const server = net.createServer(socket => child.send('socket', socket))
      server.listen(0, '127.0.0.1', () => {
        read(server.address().port, text => console.log(text))
        server.once('connection', () => {
          server.close(() => { console.log('server closed'); child.disconnect() })
          setTimeout(() => server.getConnections((err, n) => { console.log(n > 0); child.send('close') }), 100)
        })
      })
      child.on('message', m => console.log(m))
    ]]
    )
    assert.matches("^true\n", stdout)
    assert.matches("closing\n", stdout, 1, true)
    assert.matches("mwrun\n", stdout, 1, true)
    assert.matches("server closed\nexit 0 null\n$", stdout)
  end)

  node.it("has Node's UDP socket", function()
    local stdout = run(
      [[
      process.on("message", function(message, socket)
        socket:on("message", function(text, rinfo)
          socket:send("mwrun " .. text, rinfo.port, rinfo.address, function() socket:close() process.disconnect() end)
        end)
        process.send "ready"
      end)
    ]],
      [[
      const socket = dgram.createSocket('udp4')
      socket.bind(0, '127.0.0.1', () => {
        const { port } = socket.address()
        child.send('socket', socket, () => socket.close())
        child.on('message', () => {
          const client = dgram.createSocket('udp4')
          client.on('message', m => { console.log(m.toString()); client.close() })
          client.send('x', port, '127.0.0.1')
        })
      })
    ]]
    )
    assert.matches("mwrun x\n", stdout, 1, true)
    assert.matches("exit 0 null\n", stdout, 1, true)
  end)

  node.it("sends its server and its sockets to Node, and waits for them", function()
    local stdout = run(
      [[
      local server
      server = mw.net.create_server(function(socket)
        process.send("socket", socket)
        server:close(function() process.send "closed" process.disconnect() end)
      end)
      server:listen(0, "127.0.0.1", function()
        local shared = mw.net.create_server()
        shared:listen(0, "127.0.0.1", function()
          process.send({ port = server:address().port }, shared)
          shared:close()
        end)
      end)
      process.on("message", function() end)
    ]],
      [[
      child.on('message', (m, handle) => {
        if (m.port) {
          handle.on('connection', s => s.end('node serves'))
          read(handle.address().port, text => {
            console.log(text)
            handle.close()
            read(m.port, text => console.log(text))
          })
        } else if (m === 'socket') {
          setTimeout(() => handle.end('node has it'), 100)
        } else console.log(m)
      })
    ]]
    )
    assert.matches("^node serves\nnode has it\n", stdout)
    assert.matches("closed\n", stdout, 1, true)
    assert.matches("exit 0 null\n", stdout, 1, true)
  end)

  node.it("gets handles in order, those before its first listener too", function()
    local stdout = run(
      [[
      mw.timers.set_timeout(function()
        local got = {}
        process.on("message", function(message, handle)
          got[#got + 1] = ("%s %s"):format(message, handle ~= nil)
          if handle then handle:close() end
          if #got == 5 then process.send(got) process.disconnect() end
        end)
      end, 200)
    ]],
      [[
      const server = net.createServer()
      server.listen(0, '127.0.0.1', () => {
        child.send('one'); child.send('two', server); child.send('three')
        child.send('four', server); child.send('five', () => server.close())
      })
      child.on('message', m => console.log(m.join()))
    ]]
    )
    assert.equal("one false,two true,three false,four true,five false\nexit 0 null\n", stdout)
  end)
end)
