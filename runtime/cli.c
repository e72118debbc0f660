#include "cli.h"

#include <lauxlib.h>
#include <lualib.h>
#include <luv/luv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "bindings/lua_call.h"
#include "bindings/lua_channel.h"
#include "repl.h"
#include "state.h"
#include "version.h"

struct options {
  bool interactive, version, execute, ignore_environment;
  bool help, long_version, watch;
  bool in_cluster;     /* as a worker; not by an option, but by our parent */
  const char *workers; /* how many; NULL where it is to be run here */
  int script; /* index of the script in argv; argc where there is none */
};

static const char usage_text[] =
    "usage: %s [options] [script [args]]\n"
    "Available options are:\n"
    "  -e stat   execute string 'stat'\n"
    "  -i        enter interactive mode after executing 'script'\n"
    "  -l mod    require library 'mod' into global 'mod'\n"
    "  -l g=mod  require library 'mod' into global 'g'\n"
    "  -v        show version information\n"
    "  -E        ignore environment variables\n"
    "  -W        turn warnings on\n"
    "  -w n, --workers n\n"
    "            run the script as n processes that share its ports, and keep\n"
    "            them alive; 'auto': as many as there are processors\n"
    "  --watch   run it anew when a file beside it changes\n"
    "  --help    show this help\n"
    "  --version show the versions of mwrun, Lua, libuv and luv\n"
    "  --        stop handling options\n"
    "  -         stop handling options and execute stdin\n";

static void print_bad_option(const char *program, const char *option) {
  fprintf(stderr, "%s: ", program);
  if (strchr("elw", option[1]) || strcmp(option, "--workers") == 0)
    fprintf(stderr, "'%s' needs argument\n", option);
  else
    fprintf(stderr, "unrecognized option '%s'\n", option);
  fprintf(stderr, usage_text, program);
}

static void print_lua_version(void) {
  puts(LUA_COPYRIGHT);
  fflush(stdout);
}

static void print_long_version(void) {
  printf("mwrun %s\n%s\nlibuv %s\nluv %s\n", MWRUN_VERSION, LUA_RELEASE,
         uv_version_string(), MWRUN_LUV_VERSION);
}

/* The argument of the option at `*index`: what stands behind its name, `rest`,
   or the next word, which is taken. NULL where there is none. */
static const char *take_argument(char **argv, int *index, const char *rest) {
  if (*rest)
    return rest;
  const char *next = argv[*index + 1];
  if (!next || *next == '-')
    return NULL;
  ++*index;
  return next;
}

static bool take_long_option(struct options *options, char **argv, int *index) {
  static const char workers[] = "--workers";
  const char *option = argv[*index];
  const char *rest = option + sizeof workers - 1;
  if (strcmp(option, "--help") == 0)
    options->help = true;
  else if (strcmp(option, "--version") == 0)
    options->long_version = true;
  else if (strcmp(option, "--watch") == 0)
    options->watch = true;
  else if (strncmp(option, workers, sizeof workers - 1) == 0 && *rest == '=')
    options->workers = rest + 1;
  else if (strcmp(option, workers) == 0)
    return (options->workers = take_argument(argv, index, rest)) != NULL;
  else
    return false;
  return true;
}

/* Takes the option at `*index`, and its argument where it has one. Returns
   false where it is none that we know. */
static bool take_option(struct options *options, char **argv, int *index) {
  const char *option = argv[*index];
  bool alone = option[2] == '\0';
  switch (option[1]) {
  case 'E': options->ignore_environment = true; return alone;
  case 'W': return alone;
  case 'i': options->interactive = options->version = true; return alone;
  case 'v': options->version = true; return alone;
  case 'e':
    options->execute = true;
    return take_argument(argv, index, option + 2) != NULL;
  case 'l': return take_argument(argv, index, option + 2) != NULL;
  case 'w':
    return (options->workers = take_argument(argv, index, option + 2)) != NULL;
  case '-': return take_long_option(options, argv, index);
  default: return false;
  }
}

/* Reads all options before anything runs. On a bad one returns false, and
   `script` is its index. */
static bool collect_options(struct options *options, char **argv) {
  int i;
  for (i = 1; argv[i]; i++) {
    options->script = i;
    if (argv[i][0] != '-' || argv[i][1] == '\0')
      return true;
    if (strcmp(argv[i], "--") == 0) {
      options->script = i + 1;
      return true;
    }
    if (!take_option(options, argv, &i))
      return false;
  }
  options->script = i;
  return true;
}

static void create_arg_table(lua_State *L, char **argv, int argc, int script) {
  if (script == argc)
    script = 0;
  lua_createtable(L, argc - (script + 1), script + 1);
  for (int i = 0; i < argc; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - script);
  }
  lua_setglobal(L, "arg");
}

/* Calls a chunk of the main script. An error that a listener takes care of
   counts as success, with nil for a result. */
static bool call(lua_State *L, int nargs, int nresults) {
  struct mw_calls *calls = mw_calls(L);
  calls->in_lua++;
  int status = mw_pcall_as_lua(L, nargs, nresults);
  calls->in_lua--;
  if (status == LUA_OK)
    return true;
  if (!mw_uncaught(L, "uncaught_exception"))
    return false;
  lua_settop(L, lua_gettop(L) + (nresults == LUA_MULTRET ? 0 : nresults));
  return true;
}

/* Calls a loaded chunk, or prints why it could not be loaded. */
static bool run_chunk(lua_State *L, int status) {
  if (status == LUA_OK)
    return call(L, 0, 0);
  mw_message(mw_calls(L), lua_tostring(L, -1));
  lua_pop(L, 1);
  return false;
}

static bool run_string(lua_State *L, const char *code, const char *name) {
  return run_chunk(L, luaL_loadbuffer(L, code, strlen(code), name));
}

/* `name` or `global=name`: requires a library into a global. */
static bool run_library(lua_State *L, const char *option) {
  const char *equals = strchr(option, '=');
  lua_getglobal(L, "require");
  lua_pushstring(L, equals ? equals + 1 : option);
  if (!call(L, 1, 1))
    return false;
  lua_pushlstring(L, option,
                  equals ? (size_t)(equals - option) : strlen(option));
  lua_insert(L, -2);
  lua_pushglobaltable(L);
  lua_insert(L, -3);
  lua_settable(L, -3);
  lua_pop(L, 1);
  return true;
}

static bool run_options(lua_State *L, char **argv, int script) {
  for (int i = 1; i < script; i++) {
    char option = argv[i][1];
    if (option == 'W')
      lua_warning(L, "@on", 0);
    if (option != 'e' && option != 'l')
      continue;
    const char *argument = argv[i][2] ? argv[i] + 2 : argv[++i];
    bool done = option == 'e' ? run_string(L, argument, "=(command line)")
                              : run_library(L, argument);
    if (!done)
      return false;
  }
  return true;
}

static bool run_module(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  return call(L, 1, 0);
}

/* A worker of a cluster is one from the start, whatever its script requires. */
static bool run_worker_side(lua_State *L) {
  return run_module(L, "mw.cluster") &&
         (!getenv("MW_SUPERVISED") || run_module(L, "mw.supervisor.inside"));
}

/* So is the next image of a master that has left its workers to it. */
static bool run_heir_side(lua_State *L) {
  return !getenv("MW_SUCCESSION") || run_module(L, "mw.supervisor.inheritance");
}

static bool run_init(lua_State *L) {
  const char *name = "=LUA_INIT_" LUA_VERSION_MAJOR "_" LUA_VERSION_MINOR;
  const char *code = getenv(name + 1);
  if (!code) {
    name = "=LUA_INIT";
    code = getenv(name + 1);
  }
  if (!code)
    return true;
  return *code == '@' ? run_chunk(L, luaL_loadfile(L, code + 1))
                      : run_string(L, code, name);
}

/* () -> the arguments of the script, which code that ran before may have
   changed. */
static int get_arguments(lua_State *L) {
  if (lua_getglobal(L, "arg") != LUA_TTABLE)
    luaL_error(L, "'arg' is not a table");
  int count = (int)luaL_len(L, 1);
  luaL_checkstack(L, count + 3, "too many arguments to script");
  for (int i = 1; i <= count; i++)
    lua_rawgeti(L, 1, i);
  return count;
}

static bool run_script(lua_State *L, char **argv, int script) {
  const char *name = argv[script];
  if (strcmp(name, "-") == 0 && strcmp(argv[script - 1], "--") != 0)
    name = NULL;
  int status = luaL_loadfile(L, name);
  if (status != LUA_OK)
    return run_chunk(L, status);
  int function = lua_gettop(L);
  lua_pushcfunction(L, get_arguments);
  status = lua_pcall(L, 0, LUA_MULTRET, 0);
  if (status != LUA_OK)
    return run_chunk(L, status);
  bool done = call(L, lua_gettop(L) - function, LUA_MULTRET);
  lua_settop(L, 0);
  return done;
}

static void push_words(lua_State *L, char **argv, int first, int last) {
  lua_createtable(L, last - first, 0);
  for (int i = first; i < last; i++) {
    lua_pushstring(L, argv[i]);
    lua_rawseti(L, -2, i - first + 1);
  }
}

/* The script is run by workers; here, a master keeps them alive, and runs
   nothing of it. */
static bool run_master(lua_State *L, const struct options *options, int argc,
                       char **argv) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mw.supervisor.main");
  if (!call(L, 1, 1))
    return false;
  lua_getfield(L, -1, "start");
  lua_remove(L, -2);
  lua_pushstring(L, options->workers);
  lua_pushboolean(L, options->watch);
  push_words(L, argv, 1, options->script);
  push_words(L, argv, options->script, argc);
  return call(L, 4, 0);
}

static enum mw_cli_outcome run_repl(lua_State *L) {
  mw_repl_run(L);
  /* A person who ends the session ends the program; input from a pipe or a
     file is a script like any other. */
  return isatty(STDIN_FILENO) ? MW_CLI_LEAVE : MW_CLI_RUN;
}

static enum mw_cli_outcome run_all(lua_State *L, const struct options *options,
                                   int argc, char **argv) {
  if ((options->in_cluster && !run_worker_side(L)) || !run_heir_side(L))
    return MW_CLI_FAIL;
  if (options->workers || options->watch)
    return run_master(L, options, argc, argv) ? MW_CLI_RUN : MW_CLI_FAIL;
  if (!options->ignore_environment && !run_init(L))
    return MW_CLI_FAIL;
  if (!run_options(L, argv, options->script))
    return MW_CLI_FAIL;
  if (options->script < argc && !run_script(L, argv, options->script))
    return MW_CLI_FAIL;
  if (options->interactive)
    return run_repl(L);
  if (options->script < argc || options->execute || options->version)
    return MW_CLI_RUN;
  if (isatty(STDIN_FILENO)) {
    print_lua_version();
    return run_repl(L);
  }
  return run_chunk(L, luaL_loadfile(L, NULL)) ? MW_CLI_RUN : MW_CLI_FAIL;
}

enum mw_cli_outcome mw_cli_run(lua_State *L, int argc, char **argv,
                               bool opened) {
  struct options options = {.script = argc,
                            .in_cluster = mw_channel_is_workers(L)};
  const char *program = mw_calls(L)->program;
  if (!collect_options(&options, argv)) {
    print_bad_option(program, argv[options.script]);
    return MW_CLI_FAIL;
  }
  if (options.help || options.long_version) {
    if (options.help)
      printf(usage_text, program);
    else
      print_long_version();
    return MW_CLI_LEAVE;
  }
  if (options.version)
    print_lua_version();
  if (!opened)
    mw_state_open(L, options.ignore_environment);
  create_arg_table(L, argv, argc, options.script);
  if (opened && mw_push_hook(L, MW_HOOK_START))
    lua_call(L, 0, 0);
  return run_all(L, &options, argc, argv);
}
