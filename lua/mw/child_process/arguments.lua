-- The arguments and options of every function that starts a process: told
-- apart, checked, and turned into what the engine takes. The caller's tables
-- stay as they are.

local core = require "mw.core.process"
local errors = require "mw.error"
local options = require "mw.options"
local signals = require "mw.process.signals"

local M = {}

local env_types = { string = true, number = true, boolean = true }

local function check_env(value)
  if type(value) ~= "table" then
    return "table of names and values"
  end
  for name, item in pairs(value) do
    if options.name(name) or name:find("=", 1, true) then
      return ("names without '=' and NUL bytes (not %s)"):format(options.show(name))
    elseif not env_types[type(item)] or options.text(tostring(item)) then
      return ("text, number or boolean without NUL bytes for '%s'"):format(name)
    end
  end
end

local function check_shell(value)
  if type(value) ~= "boolean" and options.name(value) then
    return "boolean or the path of a shell"
  end
end

local function check_stdio(value)
  if type(value) ~= "string" and type(value) ~= "table" then
    return "word or list"
  end
end

local function is_limit(value)
  local number = type(value) == "number" and (value == math.huge and value or math.tointeger(value))
  return number and number >= 0
end

local function check_limits(value)
  if type(value) ~= "table" then
    return "table of limits by name"
  end
  for name, item in pairs(value) do
    if name == "no_new_privs" then
      if type(item) ~= "boolean" then
        return "boolean for 'no_new_privs'"
      end
    elseif not core.limit_names[name] then
      return ("known limit, not %s"):format(options.show(name))
    elseif type(item) == "table" then
      if #item ~= 2 or not is_limit(item[1]) or not is_limit(item[2]) or item[1] > item[2] then
        return ("soft and hard limit for '%s'"):format(name)
      end
    elseif not is_limit(item) then
      return ("limit for '%s'"):format(name)
    end
  end
end

local function check_process_group(value)
  if value ~= true and options.integer(1, 0x7fffffff)(value) then
    return "true or the id of a process group"
  end
end

local function check_preload(value)
  local expected = options.list(value)
  if expected then
    return expected
  end
  for _, name in ipairs(value) do
    if options.name(name) then
      return "list of modules' names"
    end
  end
end

local id = options.integer(0, 0xfffffffe)

local common = {
  cwd = options.text,
  env = check_env,
  argv0 = options.text,
  stdio = check_stdio,
  uid = id,
  gid = id,
  timeout = options.integer(0),
  kill_signal = signals.check,
  limits = check_limits,
  umask = options.integer(0, 511),
  process_group = check_process_group,
  die_with_parent = options.boolean,
  exit_flush_timeout = options.integer(0),
}

local function extend(base, more)
  local schema = {}
  for _, part in ipairs { base, more } do
    for key, check in pairs(part) do
      schema[key] = check
    end
  end
  return schema
end

local function check_encoding(value)
  if value ~= "utf8" and value ~= "utf-8" and value ~= "buffer" then
    return "'utf8' or 'buffer'"
  end
end

local asynchronous = extend(common, {
  detached = options.boolean,
  signal = options.abort_signal,
  serialization = options.one_of("msgpack", "json"),
  max_backlog = options.integer(1),
})

local output = { max_buffer = options.size, encoding = check_encoding }

--- What each function takes.
M.schemas = {
  spawn = extend(asynchronous, { shell = check_shell }),
  fork = extend(asynchronous, {
    shell = check_shell, -- taken, and ignored, as Node does
    exec_path = options.name,
    exec_argv = options.list,
    silent = options.boolean,
    preload = check_preload,
  }),
  exec = extend(extend(asynchronous, output), { shell = check_shell }),
  exec_file = extend(extend(asynchronous, output), { shell = check_shell }),
  spawn_sync = extend(extend(common, output), { shell = check_shell, input = options.bytes }),
}

local function is_list(value)
  return type(value) == "table" and value[1] ~= nil
end

--- Tells apart `(file[, args][, options][, callback])`.
---@param what string
---@param file any
---@param ... any
---@return string[] args
---@return table opts
---@return function? callback
function M.take(what, file, ...)
  options.argument(what, "file", file, options.name)
  local rest = table.pack(...)
  -- What was left out at the end counts as nothing, a function there as the
  -- callback.
  while rest.n > 0 and rest[rest.n] == nil do
    rest.n = rest.n - 1
  end
  local callback
  if type(rest[rest.n]) == "function" or rest.n == 3 then
    callback, rest[rest.n] = rest[rest.n], nil
    rest.n = rest.n - 1
  end
  local first, second = rest[1], rest[2]
  local args, opts
  if rest.n > 2 then
    errors.misuse("%s: too many arguments", what)
  elseif is_list(first) or first == nil or second ~= nil then
    args, opts = first, second
  elseif type(first) == "table" and next(first) == nil then
    args = first
  else
    opts = first
  end
  options.optional(what, "args", args, options.list)
  options.optional(what, "options", opts, options.table)
  options.optional(what, "callback", callback, options.callback)
  local strings = {}
  for index, item in ipairs(args or {}) do
    strings[index] = tostring(item)
  end
  return strings, opts or {}, callback
end

--- The environment as the engine takes it.
---@param env table<string, any>?
---@return string[]?
function M.environment_list(env)
  if not env then
    return nil
  end
  local list = {}
  for name, value in pairs(env) do
    list[#list + 1] = name .. "=" .. tostring(value)
  end
  return list
end

local function limit_list(limits)
  local list = {}
  for name, value in pairs(limits or {}) do
    if type(value) == "table" then
      list[#list + 1] = { name, value[1], value[2] }
    elseif name ~= "no_new_privs" then
      list[#list + 1] = { name, value, value }
    end
  end
  return list
end

local SIGKILL = core.signals.SIGKILL

--- Turns a command and checked options into the engine's options, `fds` aside.
---@param file string
---@param args string[]
---@param opts table
---@return table engine_options
---@return string file the one that is really run
---@return string[] argv with argv[0]
function M.engine_options(file, args, opts)
  local argv0 = opts.argv0 or file
  if opts.shell then
    local command = table.concat({ file, table.unpack(args) }, " ")
    file = opts.shell == true and "/bin/sh" or opts.shell
    argv0, args = opts.argv0 or file, { "-c", command }
  end
  local argv = { argv0, table.unpack(args) }
  local group = opts.process_group
  return {
    file = file,
    args = argv,
    env = M.environment_list(opts.env),
    cwd = opts.cwd ~= "" and opts.cwd or nil,
    setsid = opts.detached,
    pgid = group and (group == true and 0 or math.tointeger(group)),
    uid = opts.uid and math.tointeger(opts.uid),
    gid = opts.gid and math.tointeger(opts.gid),
    umask = opts.umask and math.tointeger(opts.umask),
    limits = limit_list(opts.limits),
    no_new_privs = opts.limits and opts.limits.no_new_privs,
    death_signal = opts.die_with_parent and (opts.death_signal or SIGKILL) or nil,
  },
    file,
    argv
end

-- What could not be done, where it was not the start of the program itself.
local stage_notes = {
  chdir = "can't enter the folder %q",
  limits = "can't set its limits",
  ids = "can't become its user and group",
  setsid = "can't start its session",
  setpgid = "can't enter its process group",
  no_new_privs = "can't set no_new_privs",
  death_signal = "can't tie it to its parent",
  server = "its fork server has ended, or does not answer",
  umask = "can't set its umask",
  worker = "it was killed before it ran",
}

--- The error of a start that the system refused.
---@param verb "spawn"|"spawnSync"
---@param code string
---@param stage string where it happened
---@param engine table the engine's options
---@return mw.Error
function M.spawn_error(verb, code, stage, engine)
  local err = errors.system(code, verb .. " " .. engine.file, {
    path = engine.file,
    spawn_args = { table.unpack(engine.args, 2) },
  })
  local note = stage_notes[stage]
  if note then
    err.message = ("%s (%s)"):format(err.message, note:format(engine.cwd))
  end
  return err
end

--- The number of a signal option, with the default.
---@param opts table
---@return integer
function M.kill_signal(opts)
  return signals.number("spawn", opts.kill_signal or "SIGTERM")
end

return M
