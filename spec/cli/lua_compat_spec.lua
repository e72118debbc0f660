-- The command lines of `lua` 5.4 mean the same for mwrun. Each case below runs
-- through both, in a fresh folder, under the name `lua`, and must give the
-- same output, errors and exit status.

local child_process = require "mw.child_process"
local fresh_folder = require "spec.cli.fresh_folder"
local process = require "mw.process"
local uv = require "luv"

local stock = child_process.exec_sync("command -v lua5.4").stdout:match "^(.-)\n"

-- A case: the sentence, the shell command, the standard input. `files` are
-- those that the folder holds beforehand; `first_line` compares no more than
-- that of stderr.
local cases = {}

local function group(name)
  return function(list)
    cases[#cases + 1] = { name = name, list = list }
  end
end

group "options" {
  { "runs the text of -e", [[lua -e 'print(1)']] },
  { "runs the text joined to -e", [[lua "-eprint(1)"]] },
  { "runs several -e in order, in one state", [[lua -e 'a = 1' -ea=a+1 -e 'print(a)']] },
  { "takes an empty text for -e", [[lua -e '' -e 'print(1)']] },
  { "runs no standard input after -e", [[lua -e 'print(1)']], "print(2)" },
  { "gives -e no arguments", [[lua -e 'print(...)' -e 'print(select("#", ...))']] },
  { "leaves off at an -e that fails", [[lua -e 'print(1)' -e 'error("no")' -e 'print(2)']] },
  {
    "leaves the script out after an -e that fails",
    [[lua -e 'error("no")' s.lua]],
    files = { ["s.lua"] = "print(1)" },
  },
  { "tells of a syntax error in -e", [[lua -e 'x =']] },
  { "tells of a stray end in -e", [[lua -e 'end']] },
  {
    "requires the library of -l into a global",
    [[lua -l m -e 'print(m.x)']],
    files = { ["m.lua"] = "return { x = 5 }" },
  },
  { "requires the library joined to -l", [[lua -lm -e 'print(m.x)']], files = { ["m.lua"] = "return { x = 5 }" } },
  { "requires g=mod into the global g", [[lua -l g=m -e 'print(g.x, m)']], files = { ["m.lua"] = "return { x = 5 }" } },
  {
    "keeps the dots in the global of -l a.b",
    [[lua -l a.b -e 'print(_G["a.b"].x)']],
    files = { ["a/b.lua"] = "return { x = 5 }" },
  },
  { "gives the library its name and file", [[lua -l m]], files = { ["m.lua"] = "print(...)" } },
  { "tells of a library that is not there", [[lua -l nowhere.at.all -e 'print(1)']] },
  { "tells of an error in the library", [[lua -l m]], files = { ["m.lua"] = "local x\nerror 'in m'" } },
  { "tells of a syntax error in the library", [[lua -l m]], files = { ["m.lua"] = "local = 1" } },
  { "shows the version with -v and ends", [[lua -v]], "print(1)" },
  { "shows the version before -e runs", [[lua -e 'print(1)' -v]] },
  { "shows the version before the script runs", [[lua -v s.lua]], files = { ["s.lua"] = "print(1)" } },
  { "reads standard input after -E alone", [[lua -E]], "print(1)" },
  { "reads standard input after -W alone", [[lua -W]], "warn 'careful'" },
  { "keeps warnings off", [[lua -e 'warn "careful"']] },
  { "turns warnings on with -W", [[lua -W -e 'warn("care", "ful")']] },
  { "turns warnings on where -W stands", [[lua -e 'warn "before"' -W -e 'warn "after"']] },
  { "turns warnings on and off from code", [[lua -e 'warn "@on" warn "1" warn "@off" warn "2" warn "@what"']] },
  { "runs a script with its arguments", [[lua s.lua a b 'c d']], files = { ["s.lua"] = "print(...)" } },
  { "runs standard input as -", [[lua - a b]], "print(arg[0], ...)" },
  { "runs standard input where there is no script", [[lua]], "print(arg[0], ...)" },
  { "runs an empty standard input", [[lua]], "" },
  { "runs a standard input with a shebang", [[lua]], "#!/usr/bin/lua\nprint(1)" },
  { "tells of an error in standard input", [[lua -]], "local x\nerror 'no'" },
  { "tells of a syntax error in standard input", [[lua -]], "x = = 1" },
  { "takes no options after --", [[lua -- -e a]], files = { ["-e"] = "print(arg[0], ...)" } },
  { "takes - for a file after --", [[lua -- - a]], "print 'stdin'", files = { ["-"] = "print('file', ...)" } },
  { "runs standard input after -- alone", [[lua --]], "print(1)" },
  { "takes no options after the script", [[lua s.lua -e 'print(1)' -v]], files = { ["s.lua"] = "print(...)" } },
  {
    "takes an option of ours for the script's argument after it",
    [[lua s.lua --help]],
    files = { ["s.lua"] = "print(...)" },
  },
  {
    "does everything in order",
    [[LUA_INIT='print(0)' lua -v -l m -e 'print(2)' -W s.lua x]],
    files = { ["m.lua"] = "print(1)", ["s.lua"] = "print(...) warn 'w'" },
  },
  { "refuses an unknown option", [[lua -x]], first_line = true },
  { "refuses an unknown long option", [[lua --nonsense]], first_line = true },
  { "refuses letters behind -v", [[lua -vi]], first_line = true },
  { "refuses letters behind -i", [[lua -ix]], first_line = true },
  { "refuses letters behind -E", [[lua -Ee]], first_line = true },
  { "refuses letters behind -W", [[lua -Wx]], first_line = true },
  { "refuses -e without text", [[lua -e]], first_line = true },
  { "refuses -e before an option", [[lua -e -v]], first_line = true },
  { "refuses -l without a name", [[lua -l]], first_line = true },
  { "refuses a bad option before anything runs", [[lua -v -e 'print(1)' -x]], first_line = true },
}

group "the environment" {
  { "runs LUA_INIT first", [[LUA_INIT='print(0)' lua -e 'print(1)']] },
  { "runs the file that LUA_INIT names", [[LUA_INIT=@i.lua lua -e 'print(x)']], files = { ["i.lua"] = "x = 1" } },
  { "prefers LUA_INIT_5_4", [[LUA_INIT_5_4='print(54)' LUA_INIT='print(5)' lua -e 'print(1)']] },
  { "takes an empty LUA_INIT_5_4", [[LUA_INIT_5_4= LUA_INIT='print(5)' lua -e 'print(1)']] },
  { "runs LUA_INIT before standard input", [[LUA_INIT='print(io.read())' lua]], "first\nprint 'rest'" },
  { "ends at an error in LUA_INIT", [[LUA_INIT='error "no"' lua -e 'print(1)']] },
  { "ends at an error in LUA_INIT_5_4", [[LUA_INIT_5_4='error "no"' lua -e 'print(1)']] },
  { "ends at a syntax error in LUA_INIT", [[LUA_INIT='x =' lua -e 'print(1)']] },
  { "ends at an error in the file of LUA_INIT", [[LUA_INIT=@i.lua lua]], files = { ["i.lua"] = "error 'no'" } },
  { "ends where the file of LUA_INIT is missing", [[LUA_INIT=@i.lua lua -e 'print(1)']] },
  { "lets LUA_INIT see arg", [[LUA_INIT='print(arg[0], arg[1], arg[-1])' lua s.lua a]], files = { ["s.lua"] = "" } },
  {
    "takes the arguments from what LUA_INIT made of arg",
    [[LUA_INIT='arg = { "x", "y" }' lua s.lua a]],
    files = { ["s.lua"] = "print(...)" },
  },
  { "tells that arg is no table", [[LUA_INIT='arg = 1' lua s.lua]], files = { ["s.lua"] = "print(...)" } },
  { "does not run LUA_INIT with -E", [[LUA_INIT='print(0)' lua -E -e 'print(1)']] },
  {
    "searches LUA_PATH",
    [[LUA_PATH='d/?.x' lua -l m -e 'print(m, package.path)']],
    files = { ["d/m.x"] = "return 5" },
  },
  { "puts the default for ;; in LUA_PATH", [[LUA_PATH='a/?.lua;;b/?.lua' lua -e 'print(package.path)']] },
  { "prefers LUA_PATH_5_4", [[LUA_PATH_5_4='a' LUA_PATH='b' lua -e 'print(package.path)']] },
  { "takes an empty LUA_PATH", [[LUA_PATH= lua -e 'print(package.path == "")' -l nowhere]] },
  { "searches LUA_CPATH", [[LUA_CPATH='a/?.so;;' lua -e 'print(package.cpath)']] },
  { "prefers LUA_CPATH_5_4", [[LUA_CPATH_5_4='a' LUA_CPATH='b' lua -e 'print(package.cpath)']] },
  {
    "searches neither with -E",
    [[LUA_PATH=a LUA_CPATH=b LUA_PATH_5_4=c LUA_CPATH_5_4=d lua -E -e 'print(package.path, package.cpath)']],
  },
  { "has the same package.path", [[lua -e 'print(package.path)']] },
  { "has the same package.cpath", [[lua -e 'print(package.cpath)']] },
  { "has the same package.config", [[lua -e 'print(package.config)']] },
  {
    "has the same globals and loaded libraries",
    [[lua -e 'for _, t in ipairs { _G, package.loaded, package, os, io, debug } do local names = {}
      for name in pairs(t) do names[#names + 1] = name end
      table.sort(names) print(table.concat(names, " ")) end']],
  },
  { "is generational", [[lua -e 'print(collectgarbage "incremental", collectgarbage "generational")']] },
  { "puts no hook on the code", [[lua -e 'print(debug.gethook())']] },
  { "has the same metatables", [[lua -e 'print(getmetatable(package.loaded), getmetatable(_G), getmetatable(arg))']] },
  {
    "runs in the main thread, unyieldable",
    [[lua -e 'print(select(2, coroutine.running()), coroutine.isyieldable())']],
  },
}

local show_arg = [[
local first, last = 0, 0
while arg[first - 1] do first = first - 1 end
while arg[last + 1] do last = last + 1 end
for i = first, last do print(i, arg[i]) end
print(#arg, select("#", ...), ...)
]]

group "arg" {
  { "has the options at negative indices", [[lua -W -e 'x = 1' s.lua a b]], files = { ["s.lua"] = show_arg } },
  { "counts from the name of the program without a script", [[lua -e 'x = 1' -W]] },
  { "counts from lua where standard input runs", [[lua -W]], show_arg },
  { "has - at 0", [[lua -W - a]], show_arg },
  { "has -- at -1", [[lua -W -- s.lua a]], files = { ["s.lua"] = show_arg } },
  { "has the options at positive indices without a script", [[lua -W -e "$ARG" -E]] },
  { "keeps empty arguments", [[lua s.lua '' a '']], files = { ["s.lua"] = show_arg } },
  { "takes many arguments", [[lua s.lua $(seq 300)]], files = { ["s.lua"] = "print(select('#', ...), arg[300])" } },
}

group "scripts" {
  {
    "passes over a shebang",
    [[lua s.lua]],
    files = { ["s.lua"] = "#!/usr/bin/env lua\nprint(debug.getinfo(1, 'l').currentline)" },
  },
  { "runs a script that is a shebang only", [[lua s.lua]], files = { ["s.lua"] = "#!/usr/bin/env lua" } },
  { "passes over a byte order mark", [[lua s.lua]], files = { ["s.lua"] = "\xEF\xBB\xBFprint(1)" } },
  {
    "runs a compiled script",
    [[lua -e 'io.open("c", "wb"):write(string.dump(loadfile "s.lua"))' && lua c x]],
    files = { ["s.lua"] = "print('compiled', ...)" },
  },
  { "runs an empty script", [[lua s.lua]], files = { ["s.lua"] = "" } },
  { "tells of a missing script", [[lua nowhere.lua]] },
  { "tells of a folder as script", [[lua d]], files = { ["d/x"] = "" } },
  { "ignores what the script returns", [[lua s.lua]], files = { ["s.lua"] = "return 5, false, nil" } },
  {
    "reads standard input in a script",
    [[lua s.lua]],
    "1\n2\n",
    files = { ["s.lua"] = "print(io.read('n', 'L', 'a'))" },
  },
  {
    "returns from a shell command what it returned",
    [[lua -e 'print(os.execute "exit 3") print(os.execute "kill $$") print(os.execute())']],
  },
  {
    "closes a child with its status",
    [[lua -e 'local p = io.popen("echo x; exit 4") print(p:read()) print(p:close())']],
  },
  { "orders print and stderr", [[lua -e 'print(1) io.stderr:write "2\n" print(3)' 2>&1]] },
  { "runs a script of one long line", [[lua s.lua]], files = { ["s.lua"] = ("x = 1 "):rep(20000) .. "print(x)" } },
}

local function raising(expression)
  return { ["s.lua"] = "local function raise()\n  error(" .. expression .. ")\nend\nraise()" }
end

local function with_meta(body)
  return raising("setmetatable({}, { __tostring = function(e) " .. body .. " end, __name = 'Problem' })")
end

group "errors" {
  { "prints a message with its place and traceback", [[lua s.lua]], files = raising "'no'" },
  { "prints a message without a place", [[lua s.lua]], files = raising "'no', 0" },
  { "prints an empty message", [[lua s.lua]], files = raising "'', 0" },
  { "prints a message of several lines", [[lua s.lua]], files = raising "'a\\nb', 0" },
  { "prints a message up to a zero byte", [[lua s.lua]], files = raising "'a\\0b', 0" },
  { "prints a number as a message", [[lua s.lua]], files = raising "42" },
  { "names the type of a table", [[lua s.lua]], files = raising "{}" },
  { "names the type of a function", [[lua s.lua]], files = raising "print" },
  { "names the type of a boolean", [[lua s.lua]], files = raising "true" },
  { "names the type of nil", [[lua s.lua]], files = raising "nil" },
  { "names a type that has a __name", [[lua s.lua]], files = raising "setmetatable({}, { __name = 'Problem' })" },
  { "prints what __tostring says, without a traceback", [[lua s.lua]], files = with_meta "return 'a problem'" },
  { "calls __tostring where the error is", [[lua s.lua]], files = with_meta "return debug.traceback()" },
  { "names the type where __tostring returns no text", [[lua s.lua]], files = with_meta "return {}" },
  { "names the type where __tostring returns a number", [[lua s.lua]], files = with_meta "return 42" },
  { "tells of an error in __tostring", [[lua s.lua]], files = with_meta "error 'in tostring'" },
  {
    "tells of a table that raises itself in __tostring",
    [[lua s.lua 2>&1 | head -c 30]],
    files = with_meta "error(e)",
  },
  {
    "tells of an overflowing stack",
    [[lua s.lua]],
    files = { ["s.lua"] = "local function f()\n  return 1 + f()\nend\nf()" },
  },
  {
    "tells of an overflowing C stack",
    [[lua s.lua]],
    files = { ["s.lua"] = "local function f()\n  return string.gsub('a', 'a', f)\nend\nf()" },
  },
  { "tells of a lack of memory", [[lua -e 'string.rep("x", 1 << 40)']] },
  { "tells of a call of nil", [[lua s.lua]], files = { ["s.lua"] = "local t = {}\nt.x.y = 1" } },
  { "tells of a bad argument", [[lua s.lua]], files = { ["s.lua"] = "local s = 'x'\ns:rep {}\n" } },
  {
    "tells of an error in a coroutine",
    [[lua s.lua]],
    files = { ["s.lua"] = "coroutine.wrap(function()\n  error 'no'\nend)()" },
  },
  {
    "tells of an error in a required module",
    [[lua s.lua]],
    files = { ["s.lua"] = "require 'm'", ["m.lua"] = "local x = nil + 1" },
  },
  { "tells of a module that is not there", [[lua s.lua]], files = { ["s.lua"] = "\nrequire 'no.such'" } },
  { "tells of a module required by a number", [[lua s.lua]], files = { ["s.lua"] = "require(5)" } },
  { "tells of a module required by nothing", [[lua s.lua]], files = { ["s.lua"] = "require()" } },
  {
    "tells of a module that cannot be compiled",
    [[lua s.lua]],
    files = { ["s.lua"] = "require 'm'", ["m.lua"] = "x = = 1" },
  },
  {
    "tells the place of require in a traceback",
    [[lua s.lua]],
    files = { ["s.lua"] = "require 'm'", ["m.lua"] = "print(debug.traceback())" },
  },
  { "tells of a syntax error with its line", [[lua s.lua]], files = { ["s.lua"] = "x = 1\n\ny = = 2" } },
  { "tells of an unfinished script", [[lua s.lua]], files = { ["s.lua"] = "for i = 1, 2 do" } },
  { "tells of a goto without label", [[lua s.lua]], files = { ["s.lua"] = "goto nowhere" } },
  { "tells of an error in error handling", [[lua -e 'print(xpcall(error, function() error "again" end, 1))']] },
  { "prints what was printed before the error", [[lua s.lua]], files = { ["s.lua"] = "io.write 'before' error 'no'" } },
  {
    "tells of an error in a tail call",
    [[lua s.lua]],
    files = { ["s.lua"] = "local function f() error 'no' end\nreturn f()" },
  },
  {
    "cuts a long traceback",
    [[lua s.lua]],
    files = { ["s.lua"] = "local function f(n) if n == 0 then error 'deep' end f(n - 1) return 1 end\nf(50)" },
  },
}

local on_gc = [[
local function on_gc(text)
  return setmetatable({}, { __gc = function() print("gc", text) end })
end
]]
local on_close = [[
local function on_close(text)
  return setmetatable({}, { __close = function(_, err) print("close", text, err) end })
end
]]

local function leaving(body)
  return { ["s.lua"] = on_gc .. on_close .. "a = on_gc(1) b = on_gc(2)\nlocal c <close> = on_close(1)\n" .. body }
end

group "the end" {
  { "has status 0 for os.exit()", [[lua -e 'os.exit() print(1)']] },
  { "has status 0 for true", [[lua -e 'os.exit(true)']] },
  { "has status 1 for false", [[lua -e 'os.exit(false)']] },
  { "has the status given", [[lua -e 'os.exit(37)']] },
  { "has status 255 for -1", [[lua -e 'os.exit(-1)']] },
  { "has status 254 for -2", [[lua -e 'os.exit(-2)']] },
  { "has the last eight bits of the status", [[lua -e 'os.exit(256 + 3)']] },
  { "has the status of a text that is a number", [[lua -e 'os.exit("5")']] },
  { "has the status of a float that is an integer", [[lua -e 'os.exit(5.0)']] },
  { "refuses a status that is none", [[lua -e 'os.exit("x")']] },
  { "refuses a status with a fraction", [[lua -e 'os.exit(1.5)']] },
  { "has status 0 for nil", [[lua -e 'os.exit(nil, true)']] },
  { "writes what io.write holds", [[lua -e 'io.write "x" os.exit(2)']] },
  { "finalizes at the natural end, the last first", [[lua s.lua]], files = leaving "" },
  { "finalizes after an error", [[lua s.lua]], files = leaving "error 'no'" },
  { "finalizes after a failing -e", [[lua -e "$GC error 'no'"]] },
  { "finalizes nothing at os.exit", [[lua s.lua]], files = leaving "os.exit(3)" },
  { "closes and finalizes at os.exit(code, true)", [[lua s.lua]], files = leaving "os.exit(3, true)" },
  { "closes and finalizes at os.exit(false, true)", [[lua s.lua]], files = leaving "os.exit(false, true)" },
  {
    "closes and finalizes at os.exit in a function",
    [[lua s.lua]],
    files = leaving "local function f() local d <close> = on_close(2) os.exit(4, true) end\nf()",
  },
  {
    "closes and finalizes at os.exit in a coroutine",
    [[lua s.lua]],
    files = leaving "coroutine.wrap(function() local d <close> = on_close(2) os.exit(4, true) end)()",
  },
  {
    "takes os.exit in a finalizer",
    [[lua s.lua]],
    files = leaving "c2 = setmetatable({}, { __gc = function() os.exit(5, true) end })",
  },
  {
    "takes os.exit in a closing variable",
    [[lua s.lua]],
    files = leaving "local d <close> = setmetatable({}, { __close = function() os.exit(6, true) end })",
  },
  { "closes the variables of the script at its end", [[lua s.lua]], files = leaving "local d <close> = on_close(2)" },
  {
    "gives the error to the variables of the script",
    [[lua s.lua]],
    files = leaving "local d <close> = on_close(2) error('no', 0)",
  },
  {
    "tells of an error in closing",
    [[lua s.lua]],
    files = leaving "local d <close> = setmetatable({}, { __close = function() error 'in close' end })",
  },
  {
    "says nothing of an error in a finalizer",
    [[lua s.lua]],
    files = leaving "x = setmetatable({}, { __gc = error })",
  },
  {
    "warns of an error in a finalizer with -W",
    [[lua -W s.lua]],
    files = leaving "x = setmetatable({}, { __gc = function() error 'in gc' end })",
  },
  {
    "runs each finalizer once",
    [[lua s.lua]],
    files = leaving "x = setmetatable({}, { __gc = function(o) again = o print 'once' end })",
  },
  {
    "collects nothing in a finalizer at the end",
    [[lua s.lua]],
    files = leaving "x = setmetatable({}, { __gc = function() print(collectgarbage()) end })",
  },
  { "closes its files at the end", [[lua -e 'io.open("f", "w"):write "text"'; cat f]] },
  { "flushes files at os.exit", [[lua -e 'f = io.open("f", "w") f:write "text" os.exit()'; cat f]] },
  { "prints to a closed standard output", [[lua -e 'print(1) print(2)' >&-]] },
  {
    "writes to a closed standard output",
    [[lua -e 'io.stderr:write(tostring(select(2, io.write("x"):flush())))' >&-]],
  },
  {
    "writes to a full device",
    [[lua -e 'io.stdout:setvbuf "no" io.stderr:write(tostring(select(2, io.write "x")))' >/dev/full]],
  },
  { "reads a closed standard input", [[lua -e 'print(io.read())' <&-]] },
  { "runs a closed standard input", [[lua - <&-]] },
  { "fails with a closed standard error", [[lua -e 'error "no"' 2>&-]] },
  { "runs with nothing open", [[lua -e 'f = io.open("f", "w") f:write "text" f:close()' <&- >&- 2>&-; cat f]] },
  {
    "starts children with nothing open",
    [[lua -e 'print(os.execute "echo x" and 1) io.stderr:write(tostring(io.popen("echo y"):read()))' <&- >&-]],
  },
}

local interrupt = "io.popen('kill -INT $PPID'):close()\n"

group "SIGINT" {
  {
    "raises interrupted! in a script",
    [[lua s.lua]],
    files = { ["s.lua"] = interrupt .. "while true do end" },
    first_line = true,
  },
  {
    "raises an error that pcall catches",
    [[lua s.lua]],
    files = { ["s.lua"] = "print(pcall(function() " .. interrupt .. " while true do end end))" },
  },
  { "raises interrupted! in -e", [[lua -e "$INT while true do end" -e 'print(1)']], first_line = true },
}

group "the session" {
  { "prints the version and the values of expressions", [[lua -i]], "1 + 1\n'a', nil, 2\n" },
  { "prints nothing for no values", [[lua -i]], "(function() end)()\n\n" },
  { "prints the value behind =", [[lua -i]], "=1 + 1\n= 'x', 2\n" },
  { "runs statements", [[lua -i]], "a = 5\nlocal b = 6\nprint(a, b)\n" },
  { "takes statements over several lines", [[lua -i]], "for i = 1, 2 do\nprint(i)\n\nend\nx = [[a\nb\n]]\nx\n" },
  { "takes an expression over several lines", [[lua -i]], "(1 +\n2)\nprint(\n3)\n" },
  { "ends a line without a newline", [[lua -i]], "print(1)" },
  { "tells of a syntax error and goes on", [[lua -i]], "x = = 1\n)\nprint(1)\n" },
  { "tells of an error and goes on", [[lua -i]], "error 'no'\nerror {}\nerror(nil)\nerror(42)\nnil + 1\nprint(1)\n" },
  {
    "tells of error objects as a script does",
    [[lua -i]],
    "t = setmetatable({}, { __tostring = function() return 'text' end })\nerror(t)\n"
      .. "getmetatable(t).__tostring = function() return 5 end\nerror(t)\n"
      .. "getmetatable(t).__tostring = function() error 'in it' end\nerror(t)\n",
  },
  { "tells of an error in print", [[lua -i]], "print = error\n1\nprint = 5\n2\nprint = nil\n3\n" },
  { "prints by the global print", [[lua -i]], "local p = print; print = function(...) p('mine', ...) end\n1, 2\n" },
  {
    "tells of an error in __tostring of a value",
    [[lua -i]],
    "setmetatable({}, { __tostring = function() return 1 end })\n2\n",
  },
  { "takes its prompts from globals", [[lua -i]], "_PROMPT = 'first '\n_PROMPT2 = 'then '\nfor i = 1, 1 do\nend\n" },
  {
    "takes prompts that are no texts",
    [[lua -e '_PROMPT = 1 _PROMPT2 = setmetatable({}, { __tostring = function() return "more" end })' -i]],
    "f(\n1)\n",
  },
  { "runs the script first", [[lua -i s.lua a]], "x\narg[1]\n", files = { ["s.lua"] = "x = 5 print(...)" } },
  { "runs -e first", [[lua -i -e 'x = 5']], "x\n" },
  {
    "leaves the session out after an error in the script",
    [[lua -i s.lua]],
    "1\n",
    files = { ["s.lua"] = "error 'no'" },
  },
  { "has status 0 after an error in the session", [[lua -i]], "error 'no'\n" },
  { "has the status of os.exit", [[lua -i]], "io.write 'x' os.exit(5)\n2\n" },
  { "ends at the end of input", [[lua -i]], "" },
  { "lets io.read have the rest", [[lua -i]], "print(io.read())\nhello\n" },
  { "keeps tabs and spaces", [[lua -i]], "  '  x'  \n" },
  { "takes a long line", [[lua -i]], "#'" .. ("x"):rep(3000) .. "'\n" },
  { "takes comments", [[lua -i]], "-- nothing\n1 -- one\n" },
  { "finalizes at the end", [[lua -i]], "x = setmetatable({}, { __gc = function() print 'gc' end })\n" },
  { "raises interrupted! and goes on", [[lua -i]], interrupt:sub(1, -2) .. "\n1\n", first_line = true },
  {
    "counts the levels of the stack from the session",
    [[lua -i]],
    "print(debug.traceback())\nf = function() error 'no' end\nf()\n",
  },
}

local function environment(folder)
  return {
    PATH = folder.path .. "/bin:" .. os.getenv "PATH",
    HOME = folder.path,
    TERM = "dumb",
    MWRUN_LUA_DIR = os.getenv "MWRUN_LUA_DIR",
    ASAN_OPTIONS = os.getenv "ASAN_OPTIONS",
    LSAN_OPTIONS = os.getenv "LSAN_OPTIONS",
    ARG = show_arg,
    GC = on_gc .. "a = on_gc(1)",
    INT = interrupt,
  }
end

-- Runs a case with a program that goes by the name `lua`; returns what can be
-- seen of it.
local function run(program, case)
  local folder = fresh_folder(case.files)
  assert(uv.fs_mkdir(folder.path .. "/bin", tonumber("755", 8)))
  assert(uv.fs_symlink(program, folder.path .. "/bin/lua"))
  local result = child_process.spawn_sync("/bin/sh", { "-c", case[2] }, {
    cwd = folder.path,
    env = environment(folder),
    input = case[3] or "",
    timeout = 20000,
    kill_signal = "SIGKILL",
  })
  folder:remove()
  local stderr = case.first_line and result.stderr:match "^[^\n]*" or result.stderr
  return {
    stdout = result.stdout,
    stderr = stderr:gsub("skipping %d+ levels", "skipping many levels"),
    status = result.status,
    signal = result.signal,
  }
end

for _, set in ipairs(cases) do
  describe("mwrun, as lua: " .. set.name, function()
    for _, case in ipairs(set.list) do
      it(case[1], function()
        if not stock then
          return pending "lua5.4 is not installed"
        end
        assert.same(run(stock, case), run(process.exec_path, case))
      end)
    end
  end)
end
