#include "bindings/lua_loop.h"

#include <lauxlib.h>
#include <luv/lhandle.h>
#include <luv/luv.h>
#include <string.h>

#include "bindings/lua_call.h"
#include "bindings/lua_exit.h"

bool mw_loop_turn(lua_State *L, uv_run_mode mode) {
  struct mw_calls *calls = mw_calls(L);
  mw_drain_ticks(L);
  if (calls->dying)
    return false;
  sig_atomic_t in_lua = calls->in_lua;
  calls->in_lua = 0;
  int alive = uv_run(calls->loop, mode);
  calls->in_lua = in_lua;
  return alive != 0;
}

/* turn() -> boolean: runs the loop until stop() is called, at least to the end
   of that turn; false where nothing keeps the loop alive any more. Not by
   UV_RUN_ONCE, which has a second phase of timers at its end. */
static int loop_turn(lua_State *L) {
  mw_check_loop(L, "wait");
  struct mw_calls *calls = mw_calls(L);
  if (calls->depth > 0)
    return luaL_error(L, "the event loop runs already");
  calls->turning = true;
  bool alive = mw_loop_turn(calls->main, UV_RUN_DEFAULT);
  calls->turning = false;
  if (calls->dying)
    mw_exit(L, calls->status, false);
  lua_pushboolean(L, alive);
  return 1;
}

/* stop(): makes turn() return, if that runs. */
static int loop_stop(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  if (calls->turning)
    uv_stop(calls->loop);
  return 0;
}

/* drain() -> boolean: runs the tick queue, outside any callback. */
static int loop_drain(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  bool ran = calls->depth == 0 && mw_drain_ticks(calls->main);
  if (calls->dying)
    mw_exit(L, calls->status, false);
  lua_pushboolean(L, ran);
  return 1;
}

/* before_exit(): tells that the loop is empty; may bring it back to life. */
static int loop_before_exit(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  if (mw_push_hook(calls->main, MW_HOOK_BEFORE_EXIT))
    mw_call(calls->main, 0, 0, 0);
  if (calls->dying)
    mw_exit(L, calls->status, false);
  return 0;
}

/* alive() -> boolean: whether there is anything that can still happen. */
static int loop_alive(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  lua_pushboolean(L, calls->tick_requested || uv_loop_alive(calls->loop));
  return 1;
}

static int loop_depth(lua_State *L) {
  lua_pushinteger(L, mw_calls(L)->depth);
  return 1;
}

/* has_loop() -> boolean: false while a fork server preloads. */
static int loop_has_loop(lua_State *L) {
  lua_pushboolean(L, !mw_calls(L)->loopless);
  return 1;
}

/* in_handler() -> boolean: whether an event handler is being called. */
static int loop_in_handler(lua_State *L) {
  lua_pushboolean(L, mw_calls(L)->handlers > 0);
  return 1;
}

static int loop_request_tick(lua_State *L) {
  mw_calls(L)->tick_requested = true;
  return 0;
}

/* set_hook(name, function) */
static int loop_set_hook(lua_State *L) {
  static const char *const names[] = {"tick", "uncaught", "before_exit",
                                      "exit", "start",    NULL};
  int hook = luaL_checkoption(L, 1, NULL, names);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  mw_set_hook(L, (enum mw_hook)hook);
  return 0;
}

/* uncaught(err, origin, traceback): for errors caught by Lua code that has
   no caller to give them to. Returns where a listener has handled it. */
static int loop_uncaught(lua_State *L) {
  const char *origin = luaL_checkstring(L, 2);
  lua_settop(L, 3);
  mw_keep_traceback(L);
  lua_pushvalue(L, 1);
  if (!mw_uncaught(L, origin))
    mw_exit(L, mw_calls(L)->status, false);
  return 0;
}

/* callback(fn, ...): calls it as the loop calls a callback: an error is
   nobody's, and the tick queue runs afterwards. */
static int loop_callback(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  if (mw_pcall(L, lua_gettop(L) - 1, 0) != LUA_OK)
    mw_uncaught(L, "uncaught_exception");
  mw_drain_ticks(calls->main);
  if (calls->dying)
    mw_exit(L, calls->status, false);
  return 0;
}

/* try(fn, ...) -> true | false, err, traceback: calls an event handler, which
   can't yield: the handlers behind it would be left waiting. */
static int loop_try(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  luaL_checkany(L, 1);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  calls->handlers++;
  int status = mw_pcall(L, lua_gettop(L) - 1, 0);
  calls->handlers--;
  lua_pushboolean(L, status == LUA_OK);
  if (status == LUA_OK)
    return 1;
  lua_insert(L, -2);
  mw_push_traceback(L);
  return 3;
}

/* resume(thread, ...) -> as coroutine.resume; SIGINT finds what it runs. */
static int loop_resume(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  lua_State *co = lua_tothread(L, 1);
  luaL_argexpected(L, co, 1, "coroutine");
  int nargs = lua_gettop(L) - 1;
  if (!lua_checkstack(co, nargs))
    return luaL_error(L, "too many arguments to resume");
  lua_State *outer = calls->running;
  int nresults = 0;
  lua_xmove(L, co, nargs);
  calls->running = co;
  int status = lua_resume(co, L, nargs, &nresults);
  calls->running = outer;
  if (status != LUA_OK && status != LUA_YIELD)
    nresults = 1; /* the error value */
  luaL_checkstack(L, nresults + 1, "too many results to resume");
  /* First the results: the coroutine may be L itself, which is an error. */
  lua_xmove(co, L, nresults);
  lua_pushboolean(L, status == LUA_OK || status == LUA_YIELD);
  lua_insert(L, -1 - nresults);
  return nresults + 1;
}

/* exit(status): the way out of the process. */
static int loop_exit(lua_State *L) {
  mw_exit(L, (int)luaL_checkinteger(L, 1), false);
}

int luaopen_mw_core_loop(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"turn", loop_turn},
      {"stop", loop_stop},
      {"drain", loop_drain},
      {"before_exit", loop_before_exit},
      {"alive", loop_alive},
      {"depth", loop_depth},
      {"has_loop", loop_has_loop},
      {"in_handler", loop_in_handler},
      {"request_tick", loop_request_tick},
      {"set_hook", loop_set_hook},
      {"uncaught", loop_uncaught},
      {"callback", loop_callback},
      {"try", loop_try},
      {"resume", loop_resume},
      {"exit", loop_exit},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}

struct walk {
  lua_State *L;
  lua_Integer count;
};

static bool is_lua_handle(const uv_handle_t *handle) {
  const luv_handle_t *data = handle->data;
  return data && data->ref != LUA_NOREF;
}

static void count_handle(uv_handle_t *handle, void *arg) {
  struct walk *walk = arg;
  if (is_lua_handle(handle))
    walk->count++;
}

static void collect_handle(uv_handle_t *handle, void *arg) {
  struct walk *walk = arg;
  if (!is_lua_handle(handle))
    return;
  const luv_handle_t *data = handle->data;
  lua_rawgeti(walk->L, LUA_REGISTRYINDEX, data->ref);
  lua_rawseti(walk->L, -2, ++walk->count);
}

/* walk(callback): calls it for every handle that Lua code has made. */
static int luv_walk(lua_State *L) {
  struct walk walk = {.L = L};
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  uv_walk(mw_loop(L), count_handle, &walk);
  /* Made large enough first: no error may jump out of uv_walk. */
  lua_createtable(L, (int)walk.count, 0);
  walk.count = 0;
  uv_walk(mw_loop(L), collect_handle, &walk);
  for (lua_Integer i = 1; i <= walk.count; i++) {
    lua_pushvalue(L, 1);
    lua_rawgeti(L, 2, i);
    lua_call(L, 1, 0);
  }
  return 0;
}

static int close_handle(lua_State *L) {
  if (lua_getfield(L, 1, "is_closing") == LUA_TFUNCTION) {
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_toboolean(L, -1))
      return 0;
  }
  lua_getfield(L, 1, "close");
  lua_pushvalue(L, 1);
  lua_call(L, 1, 0);
  return 0;
}

static int close_handles(lua_State *L) {
  lua_settop(L, 0);
  lua_pushcfunction(L, close_handle);
  return luv_walk(L);
}

void mw_close_luv_handles(lua_State *L) {
  lua_pushcfunction(L, close_handles);
  lua_pcall(L, 0, 0, 0);
  lua_settop(L, 0);
}

/* run([mode]): luv's own, with the tick queue before it. */
static int luv_run(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  sig_atomic_t in_lua = calls->in_lua;
  if (calls->depth == 0) {
    mw_drain_ticks(calls->main);
    calls->in_lua = 0;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  int failed = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  calls->in_lua = in_lua;
  if (calls->dying)
    mw_exit(L, calls->status, false);
  return failed ? lua_error(L) : lua_gettop(L);
}

/* What needs the loop, or starts threads: by name, or where a callback is
   given. */
static bool needs_loop(const char *name) {
  static const char *const parts[] = {
      "backend_", "loop_", "metrics_", "new_", "now",         "print_",
      "queue_",   "run",   "spawn",    "stop", "update_time", "walk",
  };
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (strncmp(name, parts[i], strlen(parts[i])) == 0)
      return true;
  }
  return false;
}

static bool takes_callback(const char *name) {
  return strncmp(name, "fs_", 3) == 0 || strncmp(name, "get", 3) == 0 ||
         strcmp(name, "random") == 0;
}

/* Upvalues: luv's function, its name, whether a callback alone needs the loop.
   Code that was preloaded keeps this one, in workers too. */
static int call_with_loop(lua_State *L) {
  bool waits = !lua_toboolean(L, lua_upvalueindex(3));
  for (int i = 1; i <= lua_gettop(L) && !waits; i++)
    waits = lua_isfunction(L, i);
  if (waits)
    mw_check_loop(L, lua_tostring(L, lua_upvalueindex(2)));
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* (luv) : puts a guard before each of its functions that needs the loop. */
static void guard_luv(lua_State *L) {
  for (lua_pushnil(L); lua_next(L, -2);) {
    const char *name = lua_tostring(L, -2);
    bool waits = needs_loop(name);
    if (!lua_isfunction(L, -1) || (!waits && !takes_callback(name))) {
      lua_pop(L, 1);
      continue;
    }
    lua_pushvalue(L, -2);
    lua_pushboolean(L, !waits);
    lua_pushcclosure(L, call_with_loop, 3);
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_settable(L, -4); /* an existing field: the traversal may go on */
  }
}

int mw_open_luv(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  luv_set_loop(calls->main, calls->loop);
  luv_set_callback(calls->main, mw_call);
  luaopen_luv(calls->main);
  if (L != calls->main)
    lua_xmove(calls->main, L, 1);
  lua_getfield(L, -1, "run");
  lua_pushcclosure(L, luv_run, 1);
  lua_setfield(L, -2, "run");
  lua_pushcfunction(L, luv_walk);
  lua_setfield(L, -2, "walk");
  if (calls->loopless)
    guard_luv(L);
  return 1;
}
