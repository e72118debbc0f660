-- A server that is never busy: what takes long is worked out by a child of its
-- own, and everybody else is answered meanwhile.
--   scripts/run scripts/examples/sum.lua [port]
-- It takes lines: "sum 300000000" adds up the numbers to that, "time" is
-- answered at once. For instance: nc 127.0.0.1 8000

local mw = require "mw"

local process = mw.process

if process.send then
  process.once("message", function(limit)
    local sum = 0
    for number = 1, limit do
      sum = sum + number
    end
    process.send(sum)
  end)
  return
end

local function sum_up(limit)
  local child = mw.child_process.fork(arg[0])
  child:send(limit)
  local sum, err = child:wait "message"
  return sum and tostring(sum) or "failed: " .. tostring(err)
end

local function answer(line)
  local limit = line:match "^sum (%d+)%s*$"
  if limit then
    return sum_up(math.tointeger(limit))
  elseif line:match "^time%s*$" then
    return os.date "%H:%M:%S"
  end
  return 'say "sum NUMBER" or "time"'
end

local server = mw.net.create_server(function(socket)
  for line in socket:lines() do
    socket:write(answer(line) .. "\n")
  end
  socket:finish()
end)

server:on("error", function(err)
  io.stderr:write(tostring(err), "\n")
  process.exit(1)
end)
server:listen(tonumber(arg[1]) or 8000, "127.0.0.1", function()
  print("listening on 127.0.0.1:" .. server:address().port)
  io.stdout:flush()
end)
