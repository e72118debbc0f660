-- The order of the house: a file may use only what stands above it in the
-- lists below; names on the same line do not know each other. Who adds a
-- subsystem adds its name here, and so decides who may use it.

local sources = require "spec.support.sources"

local function words(text)
  local set = {}
  for word in text:gmatch "%S+" do
    set[word] = true
  end
  return set
end

-- C: folders of runtime/, and the files beside them.
local c_order = {
  "version embedded_files", -- made by the build
  "base",
  "net",
  "cluster http ipc process",
  "bindings",
  "embed line_input require warnings",
  "repl state",
  "cli preload",
  "host",
  "main",
}

-- Headers in which a folder shows itself to the others; a folder that is not
-- named here shows all.
local c_doors = {
  cluster = words "dispatcher handoff intake policy",
  http = words "body connection exchange header_block parser server",
  ipc = words "channel inherited",
  process = words [[
    environment fork_client fork_server image leftovers limits parent_death
    reaper spawn_options spawn_sync stranger title tree
  ]],
  bindings = words [[
    lua_acceptor lua_call lua_channel lua_dispatcher lua_exit
    lua_http lua_intake lua_interrupt lua_loop lua_process lua_stranger modules
  ]],
}

-- Headers that only some may use, by pattern; "program" are the files that lie
-- in runtime/ itself. Bindings make no system calls, but for two that are about
-- this process.
local c_privileges = {
  { header = "^lua", users = words "bindings program" },
  { header = "^lauxlib%.h$", users = words "bindings program" },
  { header = "^luv/", users = words "bindings/lua_loop state cli" },
  { header = "^unistd%.h$", users = words "base cluster/board ipc process bindings/lua_interrupt bindings/lua_system program" },
  { header = "^fcntl%.h$", users = words "base cluster/board ipc process program" },
  { header = "^dirent%.h$", users = words "process" },
  { header = "^sys/socket%.h$", users = words "base cluster http ipc net process" },
  { header = "^http_parser%.h$", users = words "http/parser" },
  { header = "^sys/un%.h$", users = words "net" },
  { header = "^sys/wait%.h$", users = words "process" },
  { header = "^sys/epoll%.h$", users = words "base net" },
}

-- Lua: what lua/mw/ holds.
local lua_order = {
  "counters error uv",
  "exit json msgpack options providers start tick",
  "timers",
  "task",
  "emitter",
  "abort_controller look_up stream",
  "dgram net",
  "ipc",
  "process",
  "fork_server http",
  "child_process",
  "cluster",
  "supervisor",
  "mw",
}

-- Only a subsystem's own files use its inner files; these have a side door.
local lua_doors = {
  ["mw.cluster.inside.listening"] = words "supervisor",
  ["mw.cluster.master.listeners"] = words "supervisor",
  ["mw.cluster.policies"] = words "supervisor",
  ["mw.child_process.arguments"] = words "cluster",
  ["mw.child_process.heritage"] = words "cluster supervisor",
  ["mw.ipc.channel"] = words "child_process process",
  ["mw.ipc.descriptor"] = words "process",
  ["mw.process.command_line"] = words "supervisor",
  ["mw.process.parent"] = words "cluster",
  ["mw.process.signals"] = words "child_process",
  ["mw.process.standard_output"] = words "supervisor",
  ["mw.stream.handle"] = words "child_process ipc net",
  ["mw.stream.readable"] = words "process",
  ["mw.stream.writable"] = words "process",
}

-- The modules that come from C belong to these.
local lua_privileges = {
  ["luv"] = words "child_process cluster dgram fork_server http ipc look_up net process supervisor uv",
  ["mw.core.acceptor"] = words "cluster supervisor",
  ["mw.core.channel"] = words "ipc process",
  ["mw.core.class"] = words "http net",
  ["mw.core.dispatcher"] = words "cluster",
  ["mw.core.error"] = words "error",
  ["mw.core.fd"] = words "child_process cluster fork_server http ipc net process stream supervisor",
  ["mw.core.fork_server"] = words "fork_server",
  ["mw.core.http"] = words "http",
  ["mw.core.image"] = words "supervisor",
  ["mw.core.intake"] = words "cluster",
  ["mw.core.msgpack"] = words "msgpack",
  ["mw.core.json"] = words "ipc json mw",
  ["mw.core.loop"] = words "emitter exit process start stream supervisor task tick timers",
  ["mw.core.process"] = words "child_process fork_server process supervisor",
  ["mw.core.socket"] = words "child_process cluster dgram http ipc look_up net supervisor",
  ["mw.core.stranger"] = words "child_process supervisor",
  ["mw.core.system"] = words "ipc mw process supervisor timers",
  ["mw.core.watchdog"] = words "supervisor",
}

local function ranks(order)
  local rank = {}
  for number, line in ipairs(order) do
    for name in pairs(words(line)) do
      rank[name] = number
    end
  end
  return rank
end

-- Says what is wrong where `user` uses `used`, both names in the list.
local function step(rank, user, used)
  if not rank[user] then
    return ("%s is not in the list of layering_spec"):format(user)
  elseif not rank[used] then
    return ("%s is not in the list of layering_spec"):format(used)
  elseif user ~= used and rank[used] >= rank[user] then
    return ("%s stands above %s, or beside it"):format(user, used)
  end
end

local c_rank, lua_rank = ranks(c_order), ranks(lua_order)

-- "bindings/lua_call.h" -> "bindings", "bindings/lua_call"
local function c_place(path)
  local whole = path:gsub("%.[ch]$", "")
  return whole:match "^[^/]+", whole
end

local function check_include(user, whole, kind, header)
  if kind == "<" then
    for _, privilege in ipairs(c_privileges) do
      local users = privilege.users
      if header:find(privilege.header) and not (users[user] or users[whole] or users.program and user == whole) then
        return "not allowed here"
      end
    end
    return nil
  end
  local used, used_whole = c_place(header)
  local inner = used_whole:match "/(.+)$"
  if used ~= user and c_doors[used] and not c_doors[used][inner] then
    return ("an inner file of %s"):format(used)
  end
  return step(c_rank, user, used)
end

local function check_c(path, text)
  local problems = {}
  local user, whole = c_place(path)
  for kind, header in text:gmatch '#%s*include%s*([<"])([^>"]+)' do
    local problem = check_include(user, whole, kind, header)
    if problem then
      problems[#problems + 1] = ("%s includes %s: %s"):format(path, header, problem)
    end
  end
  return problems
end

-- "mw.stream.handle" -> "stream"; "mw" -> "mw"
local function lua_place(module)
  return module:match "^mw%.([^.]+)" or module
end

local function check_require(user, module)
  local privileged = lua_privileges[module]
  if privileged then
    return not privileged[user] and "it belongs to others" or nil
  elseif module:find "^mw%.core%." then
    return "nobody in layering_spec owns it"
  elseif not module:find "^mw%f[.\0]" then
    return "it is no part of mwrun"
  end
  local used = lua_place(module)
  local is_inner = module:find "^mw%.[^.]+%."
  if is_inner and used ~= user and not (lua_doors[module] and lua_doors[module][user]) then
    return ("an inner file of %s"):format(used)
  end
  return step(lua_rank, user, used)
end

local function check_lua(module, text)
  local problems = {}
  local user = lua_place(module)
  text = text:gsub("%-%-[^\n]*", "")
  for rest in text:gmatch "%f[%w_]require%f[^%w_]([^\n]*)" do
    local used = rest:match "^%s*%(?%s*[\"']([^\"']+)[\"']"
    local problem
    if used then
      problem = check_require(user, used)
    elseif user ~= "mw" then
      problem = "the name is not plain"
    end
    if problem then
      problems[#problems + 1] = ("%s requires %s: %s"):format(module, used or rest, problem)
    end
  end
  return problems
end

describe("the order of runtime/", function()
  for _, path in ipairs(sources.list("runtime", "%.[ch]$")) do
    it("holds in " .. path, function()
      assert.same({}, check_c(path:gsub("^runtime/", ""), sources.read(path)))
    end)
  end

  for what, case in pairs {
    ["a step upward"] = { "base/fd.c", '#include "process/reaper.h"', "base stands above process, or beside it" },
    ["a step aside"] = { "repl.c", '#include "state.h"', "repl stands above state, or beside it" },
    ["a stranger's inner file"] = { "bindings/x.c", '#include "process/child_setup.h"', "an inner file of process" },
    ["a subsystem that nobody knows"] = { "new/x.c", '#include "base/fd.h"', "new is not in the list" },
    ["Lua in the engine"] = { "process/spawn.c", "#include <lua.h>", "not allowed here" },
    ["luv in a binding"] = { "bindings/lua_process.c", "#include <luv/luv.h>", "not allowed here" },
    ["system calls in a binding"] = { "bindings/lua_process.c", "#  include <unistd.h>", "not allowed here" },
  } do
    it("does not allow " .. what, function()
      assert.matches(case[3], table.concat(check_c(case[1], case[2])), 1, true)
    end)
  end
end)

describe("the order of lua/", function()
  for _, path in ipairs(sources.list("lua", "%.lua$")) do
    it("holds in " .. path, function()
      assert.same({}, check_lua(sources.module_name(path), sources.read(path)))
    end)
  end

  for what, case in pairs {
    ["a step upward"] = { "mw.task", 'local x = require "mw.emitter"', "task stands above emitter, or beside it" },
    ["a step upward inside a function"] = { "mw.task", "f(require('mw.process').pid)", "task stands above process" },
    ["a step aside"] = { "mw.json", 'require "mw.options"', "json stands above options, or beside it" },
    ["a stranger's inner file"] = { "mw.process", 'require "mw.stream.queue"', "an inner file of stream" },
    ["a stranger at a side door"] = { "mw.process", 'require "mw.stream.handle"', "an inner file of stream" },
    ["luv where it is not at home"] = { "mw.stream.base", 'require "luv"', "it belongs to others" },
    ["another's core module"] = { "mw.task", 'require "mw.core.fd"', "it belongs to others" },
    ["a core module without an owner"] = { "mw.task", 'require "mw.core.new"', "nobody in layering_spec owns it" },
    ["a library from outside"] = { "mw.json", 'require "cjson"', "it is no part of mwrun" },
    ["a name that is put together"] = { "mw.task", "pcall(require, name)", "the name is not plain" },
    ["a subsystem that nobody knows"] = { "mw.new", 'require "mw.error"', "new is not in the list" },
  } do
    it("does not allow " .. what, function()
      assert.matches(case[3], table.concat(check_lua(case[1], case[2])), 1, true)
    end)
  end

  it("does not mind what comments say", function()
    assert.same({}, check_lua("mw.task", '-- local mw = require "mw"'))
  end)
end)
