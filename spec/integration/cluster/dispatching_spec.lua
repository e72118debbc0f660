-- The engine below the cluster: who is given which connection.

local dispatching = require "spec.support.dispatching"
local eventually = require "spec.support.eventually"
local fd = require "mw.core.fd"
local mw = require "mw"
local turns = require "spec.support.turns"

local all = { "rr", "least", "sticky", "custom", "none", "reuseport" }

-- For the policy "custom".
local function last(outlets)
  return outlets[#outlets]
end

local function sum(counts)
  local total = 0
  for _, count in ipairs(counts) do
    total = total + count
  end
  return total
end

local function assert_even(counts, difference)
  local fewest, most = math.huge, 0
  for _, count in ipairs(counts) do
    fewest, most = math.min(fewest, count), math.max(most, count)
  end
  assert(most - fewest <= difference, table.concat(counts, " "))
end

local desk

local function open(...)
  desk = dispatching.open(...)
  return desk
end

describe("Round robin", function()
  -- CLN-03
  it("gives nobody two more than another, at once and one by one", function()
    open("rr", 4)
    desk:connect(400)
    desk:await(400)
    assert.same({ 100, 100, 100, 100 }, desk:counts())
    for number = 401, 418 do
      desk:connect(1)
      desk:await(number)
    end
    assert_even(desk:counts(), 1)
    assert.equal(418, sum(desk:counts()))
    desk:close()
  end)

  it("owes nothing to who comes later", function()
    open("rr", 2)
    desk:connect(50)
    desk:await(50)
    desk:add()
    desk:connect(30)
    desk:await(80)
    assert.same({ 35, 35, 10 }, desk:counts())
    desk:close()
  end)

  it("passes over who does not answer, and waits a few milliseconds for that", function()
    open("rr", 2)
    desk:add(true)
    desk:connect(100)
    desk:await(99)
    assert_even({ desk.workers[1].taken, desk.workers[2].taken }, 1)
    desk:close()
  end)

  it("does so under a stream of connections, too", function()
    open("rr", 1)
    desk:add(true)
    for _ = 1, 60 do
      desk:connect(1)
      mw.sleep(2)
    end
    assert(desk.ended > 30, desk.ended)
    desk:await(59)
    desk:close()
  end)
end)

describe("Fewest connections", function()
  it("is what each gets, whoever closes some", function()
    open("least", 4)
    for _, worker in ipairs(desk.workers) do
      worker.holds = true
    end
    desk:connect(40)
    eventually(function()
      return sum(desk:counts()) == 40
    end)
    assert_even(desk:counts(), 1)
    for _ = 1, 8 do
      fd.close(table.remove(desk.workers[2].held))
    end
    desk:await(8)
    desk:connect(8)
    eventually(function()
      return sum(desk:counts()) == 48
    end)
    assert.equal(10, #desk.workers[2].held)
    desk:close()
  end)
end)

describe("Sticky", function()
  it("gives an address to the same worker, and to its successor in the slot", function()
    open("sticky", 4)
    for number = 1, 40 do
      local before = desk:counts()
      desk:connect(3, "127.0.0." .. number)
      desk:await(3 * number)
      for index, count in ipairs(desk:counts()) do
        assert(count == before[index] or count == before[index] + 3)
      end
    end
    for _, count in ipairs(desk:counts()) do
      assert(count >= 9 and count <= 63, count)
    end
    desk:close()
  end)
end)

describe("A worker that refuses", function()
  -- CLN-06
  it("is not asked again before it says that it has room", function()
    for _, policy in ipairs(all) do
      open(policy, 3, last)
      desk.workers[3].room = 1
      desk.workers[1].room = 9
      desk:connect(60)
      desk:await(60)
      local counts = desk:counts()
      assert(counts[1] <= 9 and counts[3] <= 1 and sum(counts) == 60, table.concat(counts, " "))
      desk:close()
    end
  end)

  it("leaves connections waiting where all do; they come when there is room, and nobody spins", function()
    open("rr", 2)
    for _, worker in ipairs(desk.workers) do
      worker.room, worker.holds = 1, true
    end
    desk:connect(10)
    eventually(function()
      return sum(desk:counts()) == 2
    end)
    mw.sleep(50)
    local asked = desk.workers[1].asked
    local cpu = mw.process.cpu_usage()
    mw.sleep(300)
    cpu = mw.process.cpu_usage(cpu)
    assert(cpu.user + cpu.system < 150000, cpu.user + cpu.system)
    assert.equal(2, sum(desk:counts()))
    assert(asked > 0)
    desk.workers[1].room = math.huge
    eventually(function()
      return sum(desk:counts()) == 10
    end)
    desk:close()
  end)
end)

describe("What a worker has not taken when it ends", function()
  it("goes to another, also where the worker has not even read it", function()
    for _, policy in ipairs(all) do
      open(policy, 0, last)
      local stuck = desk:add(true)
      desk:connect(1)
      eventually(function()
        return stuck.outlet:pending() == 1
      end)
      local other = desk:add()
      desk:connect(policy == "sticky" and 0 or 9)
      dispatching.kill(stuck)
      local before = mw.process.cpu_usage()
      desk:await(policy == "sticky" and 1 or 10)
      mw.sleep(100)
      local cpu = mw.process.cpu_usage(before)
      assert(cpu.user + cpu.system < 90000, policy)
      assert.equal(desk.ended, other.taken)
      assert.is_true(stuck.ended)
      desk:close()
    end
  end)

  it("waits where there is no other, and is closed with the dispatcher", function()
    open("rr", 0)
    local stuck = desk:add(true)
    desk:connect(3)
    eventually(function()
      return stuck.outlet:pending() > 0
    end)
    dispatching.kill(stuck)
    eventually(function()
      return stuck.ended
    end)
    assert.equal(0, desk.ended)
    desk:close_dispatcher()
    desk:await(3)
    desk:close()
  end)
end)

-- Writes on the board of the worker that was added last, as that might: both
-- sides have it in this process.
local function scribble(offset, format, value)
  local address
  for line in io.lines "/proc/self/maps" do
    address = line:find("memfd:mwrun", 1, true) and not address and tonumber(line:match "^%x+", 16) or address
  end
  local memory <close> = assert(io.open("/proc/self/mem", "r+b"))
  memory:seek("set", address + offset)
  assert(memory:write(string.pack(format, value)))
end

local said, open_count = 0, 8

describe("A worker that speaks nonsense", function()
  it("is taken for one that has ended where it answers for too many", function()
    for _, count in ipairs { 2, 5000, math.mininteger, -1 } do
      open("rr", 0)
      local hostile = desk:add(true)
      desk:connect(1)
      eventually(function()
        return hostile.outlet:pending() == 1
      end)
      scribble(said, "=i8", count)
      assert(fd.write_all(hostile.descriptor, "x")) -- wakes the master
      eventually(function()
        return hostile.ended
      end)
      dispatching.kill(hostile)
      desk:add()
      desk:connect(5)
      desk:await(6)
      assert.equal(6, desk.workers[2].taken)
      desk:close()
    end
  end)

  it("is not believed that it has said something", function()
    open("rr", 0)
    local hostile = desk:add(true)
    desk:connect(1)
    for _, bytes in ipairs { "x", "abc", ("\1"):rep(100), "\0\0\0\0\1\1" } do
      assert(fd.write_all(hostile.descriptor, bytes))
    end
    eventually(function()
      return hostile.outlet:pending() == 1
    end)
    desk:add()
    dispatching.kill(hostile)
    desk:await(1)
    assert.equal(1, desk.workers[2].taken)
    desk:close()
  end)

  it("whatever that is, harms nobody else", function()
    open("least", 1)
    for _ = 1, 100 do
      local hostile = desk:add(true)
      desk:connect(2)
      for _ = 1, math.random(3) do
        local bytes = {}
        for index = 1, math.random(80) do
          bytes[index] = string.char(math.random(0, 255))
        end
        fd.write_all(hostile.descriptor, table.concat(bytes))
      end
      mw.sleep(1)
      dispatching.kill(hostile)
    end
    desk:await(200)
    desk:close()
  end)

  it("may claim any number of open connections", function()
    open("least", 1)
    local hostile = desk:add(true)
    scribble(open_count, "=I4", 0xffffffff)
    assert.equal(0, hostile.taken)
    desk:connect(20)
    desk:await(20)
    assert.equal(20, desk.workers[1].taken)
    desk:close()
  end)
end)

describe("A function as policy", function()
  it("is asked for those only who may have the connection, and never for nobody", function()
    local sizes = {}
    open("custom", 2, function(outlets)
      sizes[#outlets] = true
      return outlets[1]
    end)
    desk.workers[1].room, desk.workers[2].room = 1, 0
    desk:connect(6)
    eventually(function()
      return sum(desk:counts()) == 1
    end)
    turns(20)
    assert.is_true(sizes[2])
    assert.is_nil(sizes[0])
    desk:close()
  end)

  it("may close the dispatcher", function()
    open("custom", 2, function()
      desk:close_dispatcher()
    end)
    desk:connect(5)
    desk:await(5)
    assert.same({ 0, 0 }, desk:counts())
    desk:close()
  end)
end)
