-- What clients lose while workers are reloaded, killed, replaced and scaled. The
-- clients ask again and again, each request once, over connections that they
-- keep, and over one for each request. Ends with status 1 where more is lost than
-- the README says.
--   build/mwrun scripts/bench/chaos.lua [seconds for each trouble: 8] [seconds of kills: 60]

local HttpLoad = require "../../spec/support/http_load"
local mw = require "mw"

local process = mw.process

local seconds = tonumber(arg[1] or 8)
local kill_seconds = tonumber(arg[2] or arg[1] or 60)
local workers, clients = 4, 8

local folder = arg[0]:match "^(.*)/" or "."
local failed = false

local function free_port()
  local server = mw.net.create_server():listen(0, "127.0.0.1")
  server:wait "listening"
  local port = server:address().port
  server:close():wait "close"
  return port
end

local port = free_port()
local master = mw.child_process.fork(folder .. "/workloads/chaos_master.lua", { port, workers })

local function order(...)
  master:send { ... }
  local answer = assert(master:wait("message", 60000))
  return table.unpack(answer.values, 1, answer.values.n)
end

local function expect(ok, what)
  if not ok then
    failed = true
    print("  NOT AS PROMISED: " .. what)
  end
end

local function now()
  return process.hrtime() / 1e9
end

-- Calls `step` at even intervals.
local function times(count, duration, step)
  local start = now()
  for number = 1, count do
    step(number)
    mw.sleep(math.max(0, math.floor((start + number * duration / count - now()) * 1000)))
  end
end

-- Two loads during a trouble; returns them, and what the master says of it.
local function suffer(name, path, trouble)
  order "ready"
  order "report"
  local kept = HttpLoad.start(port, { clients = clients, keep_alive = true, path = path })
  local single = HttpLoad.start(port, { clients = clients, keep_alive = false, path = path })
  trouble()
  kept:stop()
  single:stop()
  local report = order "report"
  print(("%s: %d answered; lost %d of kept connections, %d of single ones; %d workers ended, at least %d ready"):format(
    name, kept.answered + single.answered, #kept.lost, #single.lost, report.exits, report.fewest
  ))
  return kept, single, report
end

local function lose_nothing(name, path, trouble)
  local kept, single, report = suffer(name, path, trouble)
  for _, load in ipairs { kept, single } do
    expect(#load.lost == 0, load.lost[1])
  end
  return report
end

local function reload_thrice()
  times(3, seconds, function()
    local ok, err = order "reload"
    expect(ok, err)
  end)
end

local function scale_up_and_down()
  local counts = { workers + 2, 1, workers, 2, workers }
  times(#counts, seconds, function(number)
    local ok, err = order("scale", counts[number])
    expect(ok, err)
  end)
end

-- On a slow machine they grow for longer.
local function wait_for_an_exit()
  mw.sleep(seconds * 1000)
  order "exit"
end

-- What a killed worker had taken is lost with it, and nothing else.
local function check_kills(killed, kept, single)
  for _, load in ipairs { kept, single } do
    for index, what in ipairs(load.lost) do
      local owner = load.lost_to[index]
      expect(not what:find "^connect", what)
      expect(not owner or killed[owner], ("%s, to %s, which was not killed"):format(what, owner))
    end
  end
end

-- The middle one and the longest, of what was measured in µs.
local function in_milliseconds(list)
  table.sort(list)
  return list[(#list + 1) // 2] / 1000, list[#list] / 1000
end

local function kill_at_random()
  local killed, ends, starts, delays = {}, {}, {}, {}
  local kept, single = suffer("kill -9", "/", function()
    times(kill_seconds * 2, kill_seconds, function()
      local pid, delay = order "kill"
      killed[tostring(pid)] = true
      for index, list in ipairs { ends, starts, delays } do
        list[#list + 1] = delay[index]
      end
    end)
  end)
  check_kills(killed, kept, single)
  expect(#single.lost + #kept.lost <= #delays * 2 * clients, "more than was under way")
  print(("  %d kills; as many workers again after %.1f ms, at most %.1f ms"):format(#delays, in_milliseconds(delays)))
  print(("  the end was seen after %.1f ms, at most %.1f ms"):format(in_milliseconds(ends)))
  print(("  the next one ran after %.1f ms, at most %.1f ms"):format(in_milliseconds(starts)))
end

lose_nothing("three reloads", "/", reload_thrice)
lose_nothing("three reloads, answers that take 100 ms", "/slow", reload_thrice)
lose_nothing("up and down", "/", scale_up_and_down)
local report = lose_nothing("workers that use too much memory", "/greedy", wait_for_an_exit)
expect(report.fewest >= workers, "too few workers for a moment")
kill_at_random()

master:kill "SIGTERM"
master:disconnect()
expect(master:wait "close" == 0, "the master's status")
process.exit(failed and 1 or 0)
