#include "bindings/lua_call.h"

#include <lauxlib.h>
#include <stdio.h>

static char hook_keys[MW_HOOK_COUNT]; /* their addresses are registry keys */
static char calls_key;
static char error_key; /* those of the error that nobody caught: its value, */
static char traceback_key; /* the stack where it was raised, */
static char text_key;      /* and what `lua` would print; each may be nil */

struct mw_calls *mw_calls_open(lua_State *L, uv_loop_t *loop,
                               const char *program) {
  struct mw_calls *calls = lua_newuserdatauv(L, sizeof *calls, 0);
  *calls = (struct mw_calls){
      .main = L, .loop = loop, .program = program, .started = uv_hrtime()};
  lua_rawsetp(L, LUA_REGISTRYINDEX, &calls_key);
  /* Coroutines copy this slot from the main thread when they are made. */
  *(struct mw_calls **)lua_getextraspace(L) = calls;
  return calls;
}

void mw_calls_restart(lua_State *L, const char *program) {
  struct mw_calls *calls = mw_calls(L);
  calls->program = program;
  calls->started = uv_hrtime();
  calls->loopless = false;
}

struct mw_calls *mw_calls(lua_State *L) {
  return *(struct mw_calls **)lua_getextraspace(L);
}

uv_loop_t *mw_loop(lua_State *L) {
  return mw_calls(L)->loop;
}

void mw_check_loop(lua_State *L, const char *what) {
  if (mw_calls(L)->loopless)
    luaL_error(L,
               "%s: a fork server has no event loop, its workers have: nothing "
               "that waits can be begun while a module is preloaded",
               what);
}

void mw_set_hook(lua_State *L, enum mw_hook hook) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &hook_keys[hook]);
}

bool mw_push_hook(lua_State *L, enum mw_hook hook) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &hook_keys[hook]) == LUA_TFUNCTION)
    return true;
  lua_pop(L, 1);
  return false;
}

void mw_keep_traceback(lua_State *L) {
  lua_rawsetp(L, LUA_REGISTRYINDEX, &traceback_key);
  lua_pushnil(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &text_key);
}

void mw_push_traceback(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
}

static int keep_error(lua_State *L) {
  lua_settop(L, 1);
  luaL_traceback(L, L, NULL, 1);
  mw_keep_traceback(L);
  return 1;
}

int mw_error_text(lua_State *L) {
  const char *message = lua_tostring(L, 1);
  if (!message) {
    if (luaL_callmeta(L, 1, "__tostring") && lua_type(L, -1) == LUA_TSTRING)
      return 1;
    message =
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  }
  luaL_traceback(L, L, message, 1);
  return 1;
}

static int keep_error_as_lua(lua_State *L) {
  keep_error(L);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &error_key);
  return mw_error_text(L);
}

static int call_with_handler(lua_State *L, int nargs, int nresults,
                             lua_CFunction handler) {
  int base = lua_gettop(L) - nargs;
  lua_pushcfunction(L, handler);
  lua_insert(L, base);
  int status = lua_pcall(L, nargs, nresults, base);
  lua_remove(L, base);
  if (status != LUA_OK && status != LUA_ERRRUN) {
    lua_pushnil(L); /* no handler has run */
    mw_keep_traceback(L);
  }
  return status;
}

int mw_pcall(lua_State *L, int nargs, int nresults) {
  return call_with_handler(L, nargs, nresults, keep_error);
}

int mw_pcall_as_lua(lua_State *L, int nargs, int nresults) {
  int status = call_with_handler(L, nargs, nresults, keep_error_as_lua);
  if (status == LUA_ERRRUN) {
    lua_rawsetp(L, LUA_REGISTRYINDEX, &text_key);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &error_key);
  }
  return status;
}

void mw_message(const struct mw_calls *calls, const char *message) {
  fflush(stdout);
  if (calls->program)
    fprintf(stderr, "%s: ", calls->program);
  fprintf(stderr, "%s\n", message);
  fflush(stderr);
}

/* (err, traceback) -> the text to print; may raise, so it runs protected. */
static int describe_error(lua_State *L) {
  lua_settop(L, 2);
  if (!lua_isstring(L, 1) &&
      (!luaL_callmeta(L, 1, "__tostring") || lua_type(L, -1) != LUA_TSTRING))
    lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
  else if (lua_gettop(L) == 2)
    lua_pushvalue(L, 1);
  if (lua_type(L, 2) == LUA_TSTRING) {
    lua_pushliteral(L, "\n");
    lua_pushvalue(L, 2);
    lua_concat(L, 3);
  }
  return 1;
}

/* Pops the error value that nobody caught. */
static void print_error(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &text_key) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushcfunction(L, describe_error);
    lua_insert(L, -2);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &traceback_key);
    lua_pcall(L, 2, 1, 0);
    lua_pushnil(L);
    lua_insert(L, -2);
  }
  const char *text = lua_tostring(L, -1);
  mw_message(mw_calls(L), text ? text : "(error in error handling)");
  lua_pop(L, 2);
}

static void die(struct mw_calls *calls, int status) {
  calls->dying = true;
  calls->status = status;
  uv_stop(calls->loop);
}

/* Tells the hook of the error on top of the stack, which stays there.
   Returns 1 where it was handled, 0 where not, -1 where the hook runs already,
   which makes this its own failure, and -1 where the hook failed; then its own
   error and traceback are on top instead. */
static int ask_uncaught_hook(lua_State *L, const char *origin) {
  struct mw_calls *calls = mw_calls(L);
  if (calls->reporting)
    return -1;
  if (!mw_push_hook(L, MW_HOOK_UNCAUGHT))
    return 0;
  lua_pushvalue(L, -2);
  lua_pushstring(L, origin);
  mw_push_traceback(L);
  calls->reporting = true;
  calls->handlers++;
  int status = mw_pcall(L, 3, 1);
  calls->handlers--;
  calls->reporting = false;
  if (status != LUA_OK) {
    lua_remove(L, -2);
    return -1;
  }
  int handled = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return handled;
}

bool mw_uncaught(lua_State *L, const char *origin) {
  struct mw_calls *calls = mw_calls(L);
  if (calls->dying) {
    lua_pop(L, 1);
    return false;
  }
  luaL_checkstack(L, 8, NULL);
  int answer = ask_uncaught_hook(L, origin);
  if (answer > 0) {
    lua_pop(L, 1);
    return true;
  }
  print_error(L);
  die(calls, answer < 0 ? 7 : 1);
  return false;
}

bool mw_drain_ticks(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  bool ran = false;
  while (calls->tick_requested && !calls->dying &&
         mw_push_hook(L, MW_HOOK_TICK)) {
    ran = true;
    calls->depth++;
    calls->in_lua++;
    /* The hook takes a function out of its queue before it calls it: after
       an error the rest is still there, and the request still stands. */
    int status = mw_pcall(L, 0, 0);
    calls->in_lua--;
    calls->depth--;
    if (status == LUA_OK)
      calls->tick_requested = false;
    else
      mw_uncaught(L, "uncaught_exception");
  }
  return ran;
}

int mw_call(lua_State *L, int nargs, int nresults, int flags) {
  struct mw_calls *calls = mw_calls(L);
  (void)flags;
  if (calls->dying) {
    lua_pop(L, nargs + 1);
    return -LUA_ERRRUN;
  }
  int base = lua_gettop(L) - nargs - 1;
  calls->depth++;
  calls->in_lua++;
  int status = mw_pcall(L, nargs, nresults);
  calls->in_lua--;
  calls->depth--;
  if (status != LUA_OK)
    mw_uncaught(L, "uncaught_exception");
  if (calls->depth == 0)
    mw_drain_ticks(L);
  return status == LUA_OK ? lua_gettop(L) - base : -status;
}
