local eventually = require "spec.support.eventually"
local mw = require "mw"
local supervised = require "spec.support.supervised"

local it = supervised.it
local process = mw.process

-- Workers that write down what they hear.
local listening = [[
  mw.supervisor.notified(function(value)
    local text = type(value) == "table" and mw.json.encode(value) or tostring(value)
    print(("<%d heard %s>"):format(mw.cluster.worker.slot, text))
  end)
  process.send "ready"
]]

local function write(name, text)
  local path = supervised.path(name)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
  return path
end

local function heard()
  local list = {}
  for id, text in supervised.written():gmatch "<(%d+) heard ([^>\n]*)>" do
    list[#list + 1] = id .. ":" .. text
  end
  table.sort(list)
  return table.concat(list, " ")
end

local function await_heard(text)
  local ok = pcall(eventually, function()
    return heard() == text
  end)
  if not ok then
    assert.equal(text, heard())
  end
end

local function await_written(text)
  eventually(function()
    return supervised.written():find(text, 1, true)
  end)
end

describe("Workers that are notified", function()
  it("hear each change of a file once, and new ones what is in it", function()
    local path = write("price", "10")
    local run = supervised.start(listening, { workers = 2, notifier = { file = path } })
    run:all_ready()
    await_heard "1:10 2:10"
    write("price", "11 euros")
    await_heard "1:10 1:11 euros 2:10 2:11 euros"
    write("price", "11 euros")
    assert.is_true(run.supervisor:scale(3))
    await_heard "1:10 1:11 euros 2:10 2:11 euros 3:11 euros"
  end)

  it("hear what a JSON file stands for, and nothing of what is none", function()
    local path = write("price.json", '{"euros": 10}')
    supervised.start(listening, { notifier = { file = path } }):all_ready()
    await_heard '1:{"euros":10}'
    write("price.json", '{"euros": ')
    await_written "the notifier's file is no JSON: "
    write("price.json", "false")
    await_heard '1:false 1:{"euros":10}'
  end)

  it("hear of a file that is there later", function()
    local path = supervised.path "price"
    local run = supervised.start(listening, { notifier = { file = path } })
    run:all_ready()
    await_written "the notifier's file can't be read: "
    write("price", "10")
    await_heard "1:10"
  end)

  it("hear each message of a script, which is a process of its own", function()
    local path = write("prices.lua", [[
      local mw = require "mw"
      for price = 1, 3 do
        mw.process.send(("%s %d from %d"):format(arg[1], price, mw.process.ppid))
      end
      mw.timers.set_interval(function() end, 1000)
    ]])
    local last = "price 3 from " .. process.pid
    local run = supervised.start(listening, { workers = 1, notifier = { script = path, args = { "price" } } })
    run:all_ready()
    eventually(function()
      return heard():find("1:" .. last, 1, true)
    end)
    assert.is_true(run.supervisor:scale(2))
    eventually(function()
      return heard():find("2:" .. last, 1, true)
    end)
    assert.equal(1, select(2, heard():gsub("2:", "")))
  end)

  it("hear again from a script that has ended, and from the new one after a reload", function()
    local path = write("prices.lua", "local p = require 'mw'.process p.send(p.pid) p.exit(3)")
    local run = supervised.start(listening, { notifier = { script = path } })
    await_written "the notifier ended with status 3"
    eventually(function()
      return select(2, heard():gsub("1:", "")) >= 2
    end)
    write("prices.lua", "local p = require 'mw'.process p.send 'new' require 'mw'.timers.set_timeout(print, 60000)")
    assert.is_true(run.supervisor:reload())
    eventually(function()
      return heard():find("1:new", 1, true)
    end)
  end)

  it("hear what the master's own script says", function()
    local run = supervised.start(listening, { workers = 2 })
    run:all_ready()
    local value = { 1 }
    run.supervisor:notify(value)
    value[1] = 2
    assert.is_true(run.supervisor:scale(3))
    await_heard "1:[1] 2:[1] 3:[1]"
    assert.has_error(function()
      run.supervisor:notify(print)
    end)
    assert.has_error(function()
      run.supervisor:notify()
    end)
  end)

  it("know the value before their first connection", function()
    local code = [[
      local known
      mw.supervisor.notified(function(value) known = value end)
      mw.http.create_server(function(_, res)
        res:finish(tostring(known))
      end):listen(0, "127.0.0.1", function()
        print("<0 heard " .. tostring(known) .. ">")
      end)
    ]]
    local path = write("price", "10")
    supervised.start(code, { ready = "listening", notifier = { file = path } }):all_ready()
    await_heard "0:10"
  end)
end)

describe("A script without a supervisor", function()
  it("may ask to be notified, and hears nothing", function()
    local result = require "spec.support.run_mwrun" { "-e", "require('mw.supervisor').notified(print)" }
    assert.same({ "", "", 0 }, { result.stdout, result.stderr, result.status })
  end)

  it("is told what is no function", function()
    assert.has_error(function()
      mw.supervisor.notified "x"
    end)
  end)
end)
