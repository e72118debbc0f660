-- Runs commands, one a line, several at a time; `--help` tells how.
--   find . -name '*.c' -printf 'gcc -fsyntax-only %p\n' | mwrun scripts/jobs.lua

local child_process = require "mw.child_process"
local mw = require "mw"
local process = require "mw.process"
local timers = require "mw.timers"
local uv = require "luv"

local usage = [[
usage: jobs.lua [options] [file ...]
Runs the commands in the files (of standard input where there is none), one a
line, by /bin/sh, several at a time. Shows the output of each as a whole, once
it has ended. Empty lines and those that begin with # are skipped.

  -j, --jobs N|auto   at most N at a time; auto, the default: one a processor
  -k, --keep-going    start all, whatever fails; without it, the first failure
                      kills those that run
  --timeout MS        kill a job that takes longer than MS milliseconds
  --help              show this

The status is the number of jobs that failed, 101 for more than 100; 255 for a
bad option or file; 128 and the signal's number where one has stopped it.
]]

-- How long a job may take to end itself, once it is asked to by SIGTERM.
local grace = 2000
local processors = uv.available_parallelism()

local function fail(message, ...)
  io.stderr:write("jobs: ", message:format(...), "\n")
  process.exit(255)
end

local short = { ["-j"] = "--jobs", ["-k"] = "--keep-going" }
local takes_value = { ["--jobs"] = true, ["--timeout"] = true }
local is_flag = { ["--keep-going"] = true, ["--help"] = true }

-- `args` is used up.
local function parse(args)
  local options, files = { ["--jobs"] = processors }, {}
  while args[1] do
    local word = table.remove(args, 1)
    local name, value = word:match "^(%-%-[^=]*)=(.*)$"
    name = name or short[word:sub(1, 2)] or word
    if takes_value[name] then
      value = value or word:match "^%-j(.+)" or table.remove(args, 1) or "nothing"
      options[name] = math.tointeger(tonumber(value)) or name == "--jobs" and value == "auto" and processors
      if not options[name] or options[name] < 1 then
        fail("%s needs a whole number from 1 up, not %s", name, value)
      end
    elseif is_flag[name] and (word == name or word == "-k") then
      options[name] = true
    elseif word:find "^%-" then
      fail("unknown option %s (--help shows what there is)", word)
    else
      files[#files + 1] = word
    end
  end
  return options, files
end

-- Files are read at once, so that nothing runs where one is not there.
local function lines_of(files)
  if #files == 0 then
    return process.stdin:lines()
  end
  local texts = {}
  for index, name in ipairs(files) do
    local file, problem = io.open(name)
    if file then
      texts[index], problem = file:read "a"
      problem = problem and name .. ": " .. problem
    end
    if problem then
      fail("%s", problem)
    end
  end
  return table.concat(texts, "\n"):gmatch "[^\n]+"
end

local options, files = parse(arg)
if options["--help"] then
  io.write(usage)
  process.exit(0)
end
local lines, timeout = lines_of(files), options["--timeout"]
local running, running_count, done_count, failed_count = {}, 0, 0, 0
local stop_status -- set once nothing new is to be started

local function show_progress(nothing)
  if process.stderr.is_tty then
    local text = ("%d running, %d done, %d failed"):format(running_count, done_count, failed_count)
    process.stderr:write("\r\27[K" .. ((nothing or running_count == 0) and "" or text))
  end
end

-- Asks the whole tree of a job to end; after a while, kills what is left of it
-- and no longer waits for those who hold its output.
local function kill(child)
  child:kill_tree "SIGTERM"
  timers.set_timeout(function()
    if running[child] then
      child:kill_tree "SIGKILL"
      process.kill(-child.pid, "SIGKILL")
      child.stdout:destroy()
      child.stderr:destroy()
    end
  end, grace):unref()
end

local function stop(status)
  stop_status = status
  process.stdin:destroy()
  for child in pairs(running) do
    kill(child)
  end
end

-- Runs a command to its end; returns its output and, where it failed, why.
local function run(command)
  if command:find("\0", 1, true) then
    return "", "", "a NUL byte is in the command"
  end
  local stdio = { "ignore", "pipe", "pipe" }
  local child = child_process.spawn(command, { shell = true, process_group = true, stdio = stdio })
  if not child.pid then
    return "", "", tostring(select(2, child:wait "close"))
  end
  running[child] = true
  local output, timed_out = { stdout = {}, stderr = {} }, false
  for name, chunks in pairs(output) do
    child[name]:on("data", function(chunk)
      chunks[#chunks + 1] = chunk
    end)
  end
  local timer = timeout and timers.set_timeout(function()
    timed_out = true
    kill(child)
  end, timeout)
  local code, signal = child:wait "close"
  timers.clear_timeout(timer)
  running[child] = nil
  local problem = timed_out and ("took longer than %d ms"):format(timeout)
    or signal and "killed by " .. signal
    or code ~= 0 and "status " .. code
  return table.concat(output.stdout), table.concat(output.stderr), problem
end

local function take_job(command)
  running_count = running_count + 1
  show_progress()
  local stdout, stderr, problem = run(command)
  running_count, done_count = running_count - 1, done_count + 1
  show_progress(true)
  process.stdout:write(stdout)
  process.stderr:write(stderr)
  if problem and not stop_status then
    failed_count = failed_count + 1
    process.stderr:write(("jobs: %s: %s\n"):format(problem, command))
    if not options["--keep-going"] then
      stop(1)
    end
  end
  show_progress()
end

local function take_jobs()
  for line in lines do
    if stop_status then
      return
    elseif line:find "^%s*[^%s#]" then
      take_job(line)
    end
  end
end

for _, name in ipairs { "SIGINT", "SIGTERM", "SIGHUP" } do
  process.on(name, function(_, number)
    stop(128 + number)
  end)
end
process.stdout:on("error", function()
  stop(128 + 13) -- nobody reads what we write: the status of SIGPIPE
end)

local runners = {}
for index = 1, options["--jobs"] do
  runners[index] = mw.go(take_jobs)
end
for _, runner in ipairs(runners) do
  local _, err = runner:join()
  if err then
    error(err, 0)
  end
end
process.exit(stop_status or math.min(failed_count, 101))
