#include "preload.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <uv.h>

#include "bindings/lua_call.h"
#include "process/leftovers.h"
#include "state.h"

/* What nearly every worker requires. */
static const char *const own_modules[] = {
    "mw",
    "mw.child_process",
    "mw.cluster.inside",
    "mw.dgram",
    "mw.emitter",
    "mw.http",
    "mw.http.client_request",
    "mw.http.router",
    "mw.http.static",
    "mw.ipc.handle",
    "mw.net",
    "mw.process",
    "mw.process.standard_input",
    "mw.process.standard_output",
    "mw.stream",
    "mw.timers",
};

/* As the text of an error that was not caught, without its traceback. */
static const char *error_text(lua_State *L) {
  return luaL_tolstring(L, -1, NULL);
}

/* Called from no Lua function, so that `./x` is looked for in the current
   folder. Leaves the reason on the stack where it fails. */
static bool load(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  if (mw_pcall(L, 1, 0) != LUA_OK) {
    error_text(L);
    return false;
  }
  return true;
}

/* What nobody holds any more is no leftover. */
static bool is_clean(lua_State *L, int known) {
  char target[256];
  lua_gc(L, LUA_GCCOLLECT);
  if (mw_leftovers_threads() > 1) {
    lua_pushliteral(L, "it has started a thread, which its copies would lack");
    return false;
  }
  int fd = mw_leftovers_descriptor(known, target, sizeof target);
  if (fd >= 0)
    lua_pushfstring(L, "it has left descriptor %d (%s) open", fd, target);
  return fd < 0;
}

/* Loads all modules; returns the name of the first that is no good, with the
   reason on the stack. */
static const char *load_all(lua_State *L, char **names, int known) {
  for (size_t i = 0; i < sizeof own_modules / sizeof *own_modules; i++) {
    if (!load(L, own_modules[i]))
      return own_modules[i];
  }
  for (; names[1] != NULL; names++) {
    if (!load(L, *names) || !is_clean(L, known))
      return *names;
  }
  return NULL;
}

static void set_title(char **names) {
  char title[256] = "mwrun: fork server";
  for (; names[1] != NULL; names++) {
    size_t length = strlen(title);
    snprintf(title + length, sizeof title - length, " %s", *names);
  }
  uv_set_process_title(title);
}

/* Ends a worker in the middle of lua_close(): all other finalizers have run,
   and what follows would give back, piece by piece, memory that is shared, and
   so copy all of it first. */
static int leave_worker(lua_State *L) {
  if (!mw_calls(L)->loopless)
    exit(mw_calls(L)->status);
  return 0;
}

/* The first to get one runs it last. */
static void add_last_finalizer(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, leave_worker);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  luaL_ref(L, LUA_REGISTRYINDEX);
}

bool mw_preload_run(lua_State *L, struct mw_fork_server *server, char **argv) {
  bool ignore_environment = strcmp(argv[1], "-E") == 0;
  char **names = argv + (ignore_environment ? 3 : 2);
  mw_calls(L)->loopless = true;
  add_last_finalizer(L);
  mw_state_open(L, ignore_environment);
  set_title(names);
  const char *failed = load_all(L, names, server->socket);
  if (failed) {
    mw_fork_server_ready(
        server, lua_pushfstring(L, "%s\n%s", failed, lua_tostring(L, -1)));
    return false;
  }
  lua_settop(L, 0);
  lua_gc(L, LUA_GCCOLLECT);
  mw_state_settle(L);
  mw_fork_server_ready(server, NULL);
  return mw_fork_server_run(server);
}

/* Copies of one generator would all give the same numbers. */
static void seed_random(lua_State *L) {
  lua_Integer seed[2];
  if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
    return;
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, seed[0]);
  lua_pushinteger(L, seed[1]);
  lua_call(L, 2, 0);
  lua_pop(L, 2);
}

/* A module that has printed has also chosen how the stream is buffered, by
   what standard output was then; one that has read has come to an end. */
static void reset_streams(void) {
  clearerr(stdin);
  if (__fbufsize(stdout) > 0)
    setvbuf(stdout, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
}

void mw_preload_become_worker(lua_State *L) {
  seed_random(L);
  reset_streams();
}
