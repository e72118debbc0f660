local child_process = require "mw.child_process"
local children = require "spec.support.children"
local leaks = require "spec.support.leaks"
local misuse = require "spec.support.misuse"
local mw = require "mw"
local scratch = require "spec.support.scratch"

-- Every function that starts a process: `args` says that it takes a list of
-- arguments, `command` that it takes a command line instead, `output` that it
-- collects what the process writes.
local functions = {
  { name = "spawn", args = true, asynchronous = true },
  { name = "fork", args = true, asynchronous = true },
  { name = "exec", command = true, asynchronous = true, output = true },
  { name = "exec_file", args = true, asynchronous = true, output = true },
  { name = "spawn_sync", args = true, output = true },
  { name = "exec_sync", command = true, output = true },
  { name = "exec_file_sync", args = true, output = true },
}

local function call(entry, file, args, opts)
  if entry.args then
    return child_process[entry.name](file, args or {}, opts or {})
  end
  return child_process[entry.name](file, opts or {})
end

local function copy(value)
  if type(value) ~= "table" then
    return value
  end
  local result = {}
  for key, item in pairs(value) do
    result[key] = copy(item)
  end
  return result
end

-- The call raises at a line of this file, a text that begins with the
-- function's name and has `words`; no process is started.
local function refuses(entry, words, file, args, opts)
  local before = #leaks.children()
  local message = misuse(function()
    call(entry, file, args, opts)
  end)
  assert.equal(before, #leaks.children())
  assert.matches("^" .. entry.name .. ": ", message)
  assert.matches(words, message, 1, true)
end

local function each(fn)
  for _, entry in ipairs(functions) do
    fn(entry)
  end
end

local folder

-- A program that leaves a trace, as each function takes it.
local function tracing(entry)
  if entry.command then
    return "touch " .. folder.path .. "/trace"
  end
  return "touch", { folder.path .. "/trace" }
end

describe("A function that starts a process", function()
  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    local trace = folder:read "trace"
    folder:remove()
    assert.is_nil(trace)
  end)

  -- CP-ARGS-02
  it("refuses a program that is missing, empty or no string", function()
    each(function(entry)
      local name = entry.command and "'command'" or "'file'"
      refuses(entry, ("bad argument %s (non-empty string without NUL bytes expected, got nil)"):format(name), nil)
      refuses(entry, ("bad argument %s (non-empty string without NUL bytes expected, got \"\")"):format(name), "")
      for _, value in ipairs { 1, 0.5, true, false, {}, print } do
        refuses(entry, "bad argument " .. name, value)
      end
    end)
  end)

  -- CP-ARGS-02
  it("refuses arguments that are no list of strings", function()
    each(function(entry)
      if not entry.args then
        return
      end
      local file = tracing(entry)
      for _, value in ipairs { 1, "a", true } do
        refuses(entry, "bad argument 'args'", file, value)
      end
      for _, list in ipairs { { "a", {} }, { true }, { "a", false }, { "a", nil, "c" }, { "a", key = "b" }, { print } } do
        refuses(entry, "bad argument 'args' (list of strings without NUL bytes (item ", file, list)
      end
    end)
  end)

  -- CP-ARGS-02
  it("refuses options that are no table", function()
    each(function(entry)
      local file, args = tracing(entry)
      for _, value in ipairs { 1, "a", true } do
        refuses(entry, "bad argument 'options' (table expected, got ", file, args, value)
      end
    end)
  end)

  -- CP-ARGS-02
  it("refuses an option that there is not, and names the one that was meant", function()
    each(function(entry)
      local file, args = tracing(entry)
      refuses(entry, "unknown option 'timout', did you mean 'timeout'?", file, args, { timout = 1 })
      refuses(entry, "unknown option 'cdw', did you mean 'cwd'?", file, args, { cdw = "/" })
      refuses(entry, "unknown option 'killsignal', did you mean 'kill_signal'?", file, args, { killsignal = 9 })
      refuses(entry, "unknown option 'proces_group', did you mean 'process_group'?", file, args, { proces_group = true })
    end)
  end)

  -- CP-ARGS-02
  it("refuses an option far from any other without a guess", function()
    each(function(entry)
      local file, args = tracing(entry)
      local message = misuse(function()
        call(entry, file, args, { something_else = 1 })
      end)
      assert.equal(entry.name .. ": unknown option 'something_else'", message)
    end)
  end)

  -- CP-ARGS-03
  it("refuses a NUL byte wherever it is", function()
    local nul = "a\0b"
    local options = {
      cwd = { cwd = nul },
      argv0 = { argv0 = nul },
      shell = { shell = nul },
      ["the name of a variable"] = { env = { [nul] = "value" } },
      ["the value of a variable"] = { env = { NAME = nul } },
    }
    each(function(entry)
      refuses(entry, entry.command and "bad argument 'command'" or "bad argument 'file'", nul)
      refuses(entry, entry.command and "bad argument 'command'" or "bad argument 'file'", "\0")
      local file, args = tracing(entry)
      refuses(entry, entry.command and "bad argument 'command'" or "bad argument 'file'", file .. "\0")
      if entry.args then
        refuses(entry, "bad argument 'args'", file, { nul })
        refuses(entry, "bad argument 'args'", file, { args[1], "b", nul })
      end
      for _, opts in pairs(options) do
        refuses(entry, ("bad option '%s'"):format((next(opts))), file, args, opts)
      end
    end)
  end)

  -- CP-ARGS-03
  it("refuses a NUL byte in the binary of a fork and in its options", function()
    local fork = functions[2]
    refuses(fork, "bad option 'exec_path'", "script.lua", {}, { exec_path = "a\0b" })
    refuses(fork, "bad option 'exec_argv'", "script.lua", {}, { exec_argv = { "-e", "a\0b" } })
  end)

  -- CP-ARGS-02
  it("raises a text with the caller's file and line", function()
    each(function(entry)
      local start = child_process[entry.name]
      local line = debug.getinfo(1, "l").currentline + 2
      local ok, err = pcall(function()
        start "a\0b"
      end)
      assert.is_false(ok)
      assert.matches(("^%%S*arguments_spec.lua:%d: %s: "):format(line, entry.name), err)
    end)
  end)

  -- CP-ARGS-02
  it("refuses a callback that is no function", function()
    local file, args = tracing(functions[4])
    for _, call_with in ipairs {
      function()
        child_process.exec_file(file, args, {}, 3)
      end,
      function()
        child_process.exec_file(file, args, nil, {})
      end,
      function()
        child_process.exec("touch " .. folder.path .. "/trace", {}, "callback")
      end,
    } do
      assert.matches("bad argument 'callback' (function expected, got ", misuse(call_with), 1, true)
    end
  end)

  -- CP-ARGS-02
  it("that returns at once refuses a callback", function()
    for _, name in ipairs { "spawn", "fork" } do
      local message = misuse(function()
        child_process[name]("touch", { folder.path .. "/trace" }, {}, function() end)
      end)
      assert.matches("takes no callback", message, 1, true)
    end
  end)
end)

describe("An option", function()
  local nan = 0 / 0
  local huge = math.huge

  -- What is refused, by option: `only` limits it to some functions.
  local bad = {
    cwd = { 1, true, {}, print },
    argv0 = { 1, true, {} },
    env = { 1, "A=b", true, { 1 }, { ["A=B"] = "c" }, { [""] = "c" }, { A = {} }, { A = print }, { [1.5] = "x" } },
    stdio = { 1, true, "pipes", "", { "pip" }, { {} }, { -1 }, { 1.5 }, { "inherit", "pipe", true } },
    uid = { -1, 1.5, "0", nan, huge, 2 ^ 32, true },
    gid = { -1, 1.5, "0", nan, huge, 2 ^ 32, true },
    timeout = { -1, 1.5, nan, huge, -huge, "x", "3", true, {} },
    kill_signal = { 0, 500, -200, 3.14, nan, huge, "", "SIGNOTHING", "TERM", "upper", "__index", "format", true, {} },
    limits = {
      1,
      "nofile",
      true,
      { nofiles = 1 },
      { nofile = "1" },
      { nofile = -1 },
      { nofile = 1.5 },
      { nofile = { 1 } },
      { nofile = { 2, 1 } },
      { nofile = { 1, 2, 3 } },
      { no_new_privs = 1 },
      { 64 },
    },
    umask = { -1, 512, 1.5, "022", true },
    process_group = { 0, -1, 1.5, false, "1", {} },
    die_with_parent = { 0, 1, "true", {} },
    exit_flush_timeout = { -1, 1.5, nan, huge, "1" },
    shell = { 0, 1, "", {} },
    detached = { 0, 1, "true", {}, asynchronous = true },
    serialization = { "", "MSGPACK", "advanced", 1, true, {}, asynchronous = true },
    max_backlog = { 0, -1, 1.5, "1", nan, huge, asynchronous = true },
    signal = { 1, "SIGTERM", true, {}, { aborted = false }, mw.emitter.new(), asynchronous = true },
    max_buffer = { -1, -0.5, nan, -huge, "1", true, {}, output = true },
    encoding = { "latin1", "", 1, true, {}, output = true },
  }

  before_each(function()
    folder = scratch.new()
  end)

  after_each(function()
    local trace = folder:read "trace"
    folder:remove()
    assert.is_nil(trace)
  end)

  -- CP-ARGS-04, CP-ARGS-05, CP-ARGS-06, CP-ARGS-07
  for option, values in pairs(bad) do
    it(option .. " is refused where its value can't be meant", function()
      each(function(entry)
        if (values.asynchronous and not entry.asynchronous) or (values.output and not entry.output) then
          return
        end
        local file, args = tracing(entry)
        for _, value in ipairs(values) do
          refuses(entry, ("option '%s'"):format(option), file, args, { [option] = value })
        end
      end)
    end)
  end

  -- CP-ARGS-04
  it("of a fork is refused where its value can't be meant", function()
    local fork = functions[2]
    for option, values in pairs {
      exec_path = { 1, "", true, {} },
      exec_argv = { 1, "-e", true, { {} }, { true } },
      silent = { 0, 1, "true", {} },
    } do
      for _, value in ipairs(values) do
        refuses(fork, ("bad option '%s'"):format(option), "script.lua", {}, { [option] = value })
      end
    end
  end)

  -- CP-ARGS-04
  it("is refused where another function has it and this one has not", function()
    refuses(functions[1], "unknown option 'max_buffer'", "true", {}, { max_buffer = 1 })
    refuses(functions[1], "unknown option 'exec_path'", "true", {}, { exec_path = "x" })
    refuses(functions[5], "unknown option 'signal'", "true", {}, { signal = mw.abort_controller().signal })
    refuses(functions[5], "unknown option 'serialization'", "true", {}, { serialization = "json" })
  end)
end)

describe("An option's value", function()
  local function passes(opts)
    for _, entry in ipairs(functions) do
      local taken = (opts.max_buffer == nil or entry.output) and entry.name ~= "fork"
      if taken and entry.asynchronous then
        local child = entry.command and child_process.exec("true", opts, function() end)
          or child_process[entry.name]("true", {}, opts)
        if type(child) == "table" then
          assert.same({ 0 }, { child:wait "close" })
        else
          assert.equal("", child)
        end
      elseif taken then
        local result = child_process[entry.name]("true", opts)
        assert.equal(0, result.status)
        assert.is_nil(result.error)
      end
    end
  end

  -- CP-ARGS-05
  it("of timeout may be 0 for none, or a float with a whole value", function()
    for _, value in ipairs { 0, 0.0, 30000.0, 30000 } do
      passes { timeout = value }
    end
    local _, err = child_process.exec_file("sleep", { "30" }, { timeout = 3.0 })
    assert.is_true(err.killed)
    assert.equal("SIGTERM", err.signal)
  end)

  -- CP-ARGS-05
  it("of timeout is no limit where it is 0", function()
    local stdout = assert(child_process.exec("sleep 0.05; echo over", { timeout = 0 }))
    assert.equal("over\n", stdout)
  end)

  -- CP-ARGS-06
  it("of max_buffer may be 0, a fraction or infinite", function()
    for _, value in ipairs { 0, 0.5, 1.5, math.huge, 2 ^ 53, math.maxinteger } do
      passes { max_buffer = value }
    end
  end)

  -- CP-ARGS-07
  it("of kill_signal may be a number or a name in any letter case", function()
    for _, value in ipairs { 9, 9.0, "SIGKILL", "sigkill", "SigKill" } do
      local _, err = child_process.exec_file("sleep", { "30" }, { timeout = 1, kill_signal = value })
      assert.equal("SIGKILL", err.signal)
      assert.equal("SIGKILL", child_process.spawn_sync("sleep", { "30" }, { timeout = 1, kill_signal = value }).signal)
      local result = children.run("sleep", { "30" }, { timeout = 1, kill_signal = value })
      assert.equal("SIGKILL", result.signal)
    end
  end)

  -- CP-ARGS-04
  it("of cwd may be empty for the folder that we are in", function()
    assert.equal(mw.process.cwd() .. "\n", child_process.exec("pwd", { cwd = "" }))
  end)

  -- CP-ARGS-04
  it("of argv0 is the name that the program sees", function()
    local stdout = child_process.exec_file("/bin/sh", { "-c", "echo $0" }, { argv0 = "another" })
    assert.equal("another\n", stdout)
    assert.equal("another\n", child_process.spawn_sync("/bin/sh", { "-c", "echo $0" }, { argv0 = "another" }).stdout)
  end)

  -- CP-ARGS-04
  it("in env may be text, a number or a boolean", function()
    local opts = { env = { TEXT = "", NUMBER = 12, FRACTION = 0.5, YES = true, NO = false } }
    assert.equal("-12-0.5-true-false\n", child_process.exec("echo $TEXT-$NUMBER-$FRACTION-$YES-$NO", opts))
  end)
end)

describe("The caller's tables", function()
  local function tables()
    return {
      args = { "-c", "exit 0", 12, 0.5 },
      opts = {
        env = { PATH = "/usr/bin:/bin", NUMBER = 1, FLAG = true },
        cwd = "/",
        stdio = { "ignore", "pipe", "pipe" },
        timeout = 20000,
        kill_signal = "sigkill",
        limits = { core = 0, nofile = { 64, 64 } },
        umask = 18,
      },
    }
  end

  -- CP-ARGS-02
  it("stay as they are", function()
    each(function(entry)
      local given = tables()
      local first = entry.command and "exit 0" or "/bin/sh"
      if entry.name == "fork" then
        given.opts.stdio[4] = "ipc"
        given.opts.exec_path, given.opts.exec_argv, first = "/bin/sh", { "-c", "exit 0" }, "zero"
      end
      local before = copy(given)
      local result = call(entry, first, given.args, given.opts)
      assert.same(before, given)
      if entry.name == "spawn" or entry.name == "fork" then
        result:wait "close"
      end
      assert.same(before, given)
    end)
  end)

  -- CP-ARGS-02
  it("stay as they are where they are refused, and may be read-only", function()
    local function frozen(content)
      return setmetatable(content, {
        __newindex = function()
          error "written to"
        end,
      })
    end
    each(function(entry)
      local given = { args = { "a" }, opts = { timeout = -1 } }
      pcall(call, entry, "true", given.args, given.opts)
      assert.same({ args = { "a" }, opts = { timeout = -1 } }, given)
      if entry.name ~= "fork" then
        local result = call(entry, "true", frozen { "a" }, frozen { cwd = "/" })
        if entry.name == "spawn" then
          result:wait "close"
        end
      end
    end)
  end)
end)

describe("The table behind the program", function()
  -- CP-ARGS-02
  it("is the list of arguments where it has an item", function()
    assert.equal("a\n", (assert(child_process.exec_file("echo", { "a" }))))
    assert.equal("/\n", (assert(child_process.exec_file("/bin/sh", { "-c", "pwd" }, { cwd = "/" }))))
  end)

  -- CP-ARGS-02
  it("is the list where it is empty and another table follows, or nothing", function()
    assert.equal("\n", (assert(child_process.exec_file("echo", {}))))
    assert.equal("\n", (assert(child_process.exec_file("echo", {}, nil))))
    assert.equal("/\n", (assert(child_process.exec_file("pwd", {}, { cwd = "/" }))))
    assert.same({ 0 }, { child_process.spawn("true", {}, { cwd = "/" }):wait "close" })
    assert.equal(0, child_process.spawn_sync("true", {}).status)
    assert.equal("/\n", child_process.spawn_sync("pwd", {}, { cwd = "/" }).stdout)
  end)

  -- CP-ARGS-02
  it("is the options in every other case", function()
    assert.equal("/\n", (assert(child_process.exec_file("pwd", { cwd = "/" }))))
    assert.equal("/\n", child_process.spawn_sync("pwd", { cwd = "/" }).stdout)
    assert.equal("/\n", child_process.exec_file_sync("pwd", { cwd = "/" }).stdout)
    assert.equal("/\n", children.finish(child_process.spawn("pwd", { cwd = "/" })).stdout)
  end)

  -- CP-ARGS-02
  it("may be nil with options behind it", function()
    assert.equal("/\n", (assert(child_process.exec_file("pwd", nil, { cwd = "/" }))))
    assert.equal("/\n", child_process.spawn_sync("pwd", nil, { cwd = "/" }).stdout)
    assert.equal("/\n", children.finish(child_process.spawn("pwd", nil, { cwd = "/" })).stdout)
  end)

  -- CP-ARGS-02
  it("is an error where it has names and another table follows", function()
    for _, entry in ipairs(functions) do
      if entry.args then
        refuses(entry, "bad argument 'args'", "true", { cwd = "/" }, { cwd = "/" })
      end
    end
  end)

  -- CP-ARGS-02
  it("gives numbers to the program as Lua writes them", function()
    assert.equal("1 -2 0.5 3.0\n", (assert(child_process.exec_file("echo", { 1, -2, 0.5, 3.0 }))))
  end)

  -- CP-ARGS-02
  it("may stand before a callback in every form", function()
    for _, arguments in ipairs {
      { n = 0 },
      { n = 1, {} },
      { n = 1, { "a" } },
      { n = 1, { cwd = "/" } },
      { n = 2, {}, {} },
      { n = 2, { "a" }, { cwd = "/" } },
      { n = 2, nil, { cwd = "/" } },
      { n = 2, nil, nil },
      { n = 2, { "a" }, nil },
    } do
      local answer
      arguments[arguments.n + 1] = function(...)
        answer = table.pack(...)
      end
      local child = child_process.exec_file("true", table.unpack(arguments, 1, arguments.n + 1))
      child:wait "close"
      assert.same({ n = 3, nil, "", "" }, answer)
    end
  end)
end)
