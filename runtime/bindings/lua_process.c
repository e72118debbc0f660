#include "bindings/lua_process.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <math.h>
#include <signal.h>

#include "base/error_name.h"
#include "base/signals.h"
#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "bindings/process_options.h"
#include "process/limits.h"
#include "process/parent_death.h"
#include "process/reaper.h"
#include "process/spawn_sync.h"
#include "process/tree.h"

#define REAPER_TYPE "mw.core.process.reaper"
#define CHILD_TYPE "mw.core.process.child"
#define SYNC_TYPE "mw.core.process.sync"

struct reaper_box {
  struct mw_reaper *reaper; /* NULL after mw_process_close */
};

/* User value 1: on_exit. In the live table, by address, while it runs. */
struct child_box {
  struct mw_child child;
  lua_State *main;
};

struct sync_box {
  struct mw_sync_request request;
  struct mw_sync_stream streams[];
};

/* Their addresses are registry keys. */
static char reaper_key;
static char names_key;

/* the reaper */

static struct reaper_box *reaper_box(lua_State *L) {
  struct reaper_box *box;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &reaper_key);
  box = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return box;
}

static void close_reaper(struct reaper_box *box) {
  if (box->reaper != NULL)
    mw_reaper_close(box->reaper);
  box->reaper = NULL;
}

void mw_process_close(lua_State *L) {
  struct reaper_box *box = reaper_box(L);
  if (box != NULL)
    close_reaper(box);
}

static int reaper_gc(lua_State *L) {
  close_reaper(lua_touserdata(L, 1));
  return 0;
}

static void open_reaper(lua_State *L) {
  struct reaper_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  box->reaper = NULL;
  luaL_newmetatable(L, REAPER_TYPE);
  lua_pushcfunction(L, reaper_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  if (mw_reaper_new(mw_loop(L), &box->reaper) != 0)
    luaL_error(L, "not enough memory");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &reaper_key);
}

/* children */

/* Called by the loop, outside Lua: pushes nothing that needs memory. */
static void on_exit_of_child(struct mw_child *child, int status, int signum) {
  struct child_box *box = child->user;
  lua_State *L = box->main;

  if (!lua_checkstack(L, 8))
    return;
  mw_live_push_user_value(L, box, 1); /* on_exit */
  mw_live_drop(L, box);
  if (signum == 0) {
    lua_pushinteger(L, status);
    lua_pushnil(L);
  } else {
    lua_pushnil(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &names_key);
    lua_rawgeti(L, -1, signum);
    lua_remove(L, -2);
  }
  mw_call(L, 2, 0, 0);
}

/* Pushes a box for a child that is still to be started. */
static struct child_box *push_child(lua_State *L, int on_exit) {
  struct child_box *box = lua_newuserdatauv(L, sizeof *box, 1);
  *box = (struct child_box){.main = mw_calls(L)->main};
  box->child.on_exit = on_exit_of_child;
  box->child.user = box;
  luaL_setmetatable(L, CHILD_TYPE);
  lua_pushvalue(L, on_exit);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -1);
  mw_live_put(L, box);
  return box;
}

/* spawn(options, on_exit) -> child | nil, errname, stage */
static int process_spawn(lua_State *L) {
  struct mw_spawn_options options;
  enum mw_spawn_stage stage = MW_STAGE_WATCH;
  struct mw_reaper *reaper = reaper_box(L)->reaper;
  struct child_box *box;
  int rc = -ECANCELED;

  luaL_checktype(L, 2, LUA_TFUNCTION);
  mw_check_loop(L, "spawn");
  mw_check_spawn_options(L, 1, &options);
  box = push_child(L, 2);
  if (reaper != NULL)
    rc = mw_reaper_spawn(reaper, &box->child, &options, &stage);
  if (rc == 0)
    return 1;
  mw_live_drop(L, box);
  mw_push_failure(L, rc);
  lua_pushstring(L, mw_spawn_stage_name(stage));
  return 3;
}

/* adopt(pid, on_exit) -> child | nil, errname: one of ours that was started
   elsewhere. */
static int process_adopt(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  struct mw_reaper *reaper = reaper_box(L)->reaper;
  luaL_argcheck(L, pid > 1 && pid <= INT_MAX, 1, "no pid of a child");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  struct child_box *box = push_child(L, 2);
  int rc = -ECANCELED;
  if (reaper != NULL)
    rc = mw_reaper_watch(reaper, &box->child, (pid_t)pid);
  if (rc == 0)
    return 1;
  mw_live_drop(L, box);
  return mw_push_failure(L, rc);
}

static struct mw_child *check_child(lua_State *L) {
  struct child_box *box = luaL_checkudata(L, 1, CHILD_TYPE);
  return &box->child;
}

static int check_signum(lua_State *L, int index) {
  lua_Integer signum = luaL_checkinteger(L, index);
  luaL_argcheck(L, signum >= 0 && signum < NSIG, index, "no such signal");
  return (int)signum;
}

static int child_pid(lua_State *L) {
  lua_pushinteger(L, check_child(L)->pid);
  return 1;
}

/* kill(signum) -> true | nil, errname */
static int child_kill(lua_State *L) {
  struct mw_child *child = check_child(L);
  int rc = mw_child_kill(child, check_signum(L, 2));
  if (rc != 0)
    return mw_push_failure(L, rc);
  lua_pushboolean(L, true);
  return 1;
}

static int child_ref(lua_State *L) {
  mw_child_set_referenced(check_child(L), true);
  return 0;
}

static int child_unref(lua_State *L) {
  mw_child_set_referenced(check_child(L), false);
  return 0;
}

static int child_tostring(lua_State *L) {
  struct mw_child *child = check_child(L);
  const char *state = mw_child_is_running(child) ? "running" : "ended";
  lua_pushfstring(L, "%s (pid %d, %s)", CHILD_TYPE, (int)child->pid, state);
  return 1;
}

/* While a child runs its box is anchored: this is the end of the state. */
static int child_gc(lua_State *L) {
  mw_child_forget(check_child(L));
  return 0;
}

/* spawn_sync */

static int sync_gc(lua_State *L) {
  struct sync_box *box = lua_touserdata(L, 1);
  mw_sync_free(&box->request);
  return 0;
}

/* A number field, not negative; all that is no integer is rounded up. */
static double check_number_field(lua_State *L, int index, const char *name,
                                 double otherwise) {
  double value = otherwise;
  if (mw_raw_field(L, index, name) != LUA_TNIL) {
    value = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(value >= 0))
      luaL_error(L, "bad field '%s' (non-negative number expected)", name);
  }
  lua_pop(L, 1);
  return ceil(value);
}

/* The item of `stdio` on top of the stack. The input belongs to the caller's
   table. */
static void check_stream(lua_State *L, struct mw_sync_stream *stream) {
  int item = lua_gettop(L);
  if (lua_isnil(L, item))
    return;
  if (!lua_istable(L, item))
    luaL_error(L, "bad field 'stdio' (tables expected)");
  if (mw_raw_field(L, item, "input") == LUA_TSTRING) {
    stream->kind = MW_SYNC_INPUT;
    stream->input = lua_tolstring(L, -1, &stream->input_len);
  } else {
    mw_raw_field(L, item, "capture");
    if (lua_toboolean(L, -1))
      stream->kind = MW_SYNC_CAPTURE;
  }
  lua_settop(L, item);
}

static void check_streams(lua_State *L, int index, struct sync_box *box) {
  int stdio;
  if (mw_raw_field(L, index, "stdio") != LUA_TTABLE) {
    lua_pop(L, 1);
    return;
  }
  stdio = lua_gettop(L);
  for (size_t i = 0; i < box->request.stream_count; i++) {
    lua_rawgeti(L, stdio, (lua_Integer)i + 1);
    check_stream(L, &box->streams[i]);
    lua_settop(L, stdio);
  }
  lua_pop(L, 1);
}

static struct sync_box *push_sync(lua_State *L, int index,
                                  const struct mw_spawn_options *options) {
  size_t count = options->fd_count < 3 ? 3 : options->fd_count;
  size_t size = sizeof(struct sync_box) + count * sizeof(struct mw_sync_stream);
  double timeout = check_number_field(L, index, "timeout", 0);
  double max_buffer = check_number_field(L, index, "max_buffer", HUGE_VAL);
  int kill_signal = (int)mw_check_integer_field(L, index, "kill_signal", 1,
                                                NSIG - 1, SIGTERM);
  struct sync_box *box = lua_newuserdatauv(L, size, 0);
  struct mw_sync_request *request = &box->request;

  *request = (struct mw_sync_request){.options = options};
  request->streams = box->streams;
  request->stream_count = count;
  request->kill_signal = kill_signal;
  request->timeout_ms = timeout >= 9e15 ? 0 : (int64_t)timeout;
  request->max_buffer =
      max_buffer >= (double)SIZE_MAX ? SIZE_MAX : (size_t)max_buffer;
  for (size_t i = 0; i < count; i++)
    box->streams[i] = (struct mw_sync_stream){.kind = MW_SYNC_GIVEN};
  luaL_setmetatable(L, SYNC_TYPE);
  check_streams(L, index, box);
  return box;
}

static void push_outputs(lua_State *L, const struct mw_sync_request *request) {
  lua_createtable(L, (int)request->stream_count, 0);
  for (size_t i = 0; i < request->stream_count; i++) {
    const struct mw_sync_stream *stream = &request->streams[i];
    if (stream->kind != MW_SYNC_CAPTURE)
      continue;
    lua_pushlstring(L, stream->output, stream->output_len);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
}

static void push_sync_result(lua_State *L,
                             const struct mw_sync_request *request) {
  char name[MW_ERROR_NAME_SIZE];
  lua_createtable(L, 0, 6);
  if (request->pid > 0) {
    lua_pushinteger(L, request->pid);
    lua_setfield(L, -2, "pid");
  } else {
    lua_pushstring(L, mw_spawn_stage_name(request->stage));
    lua_setfield(L, -2, "stage");
  }
  if (request->status >= 0) {
    lua_pushinteger(L, request->status);
    lua_setfield(L, -2, "status");
  }
  if (request->signum > 0) {
    lua_pushstring(L, mw_signals_name(request->signum));
    lua_setfield(L, -2, "signal");
  }
  if (request->error != 0) {
    lua_pushstring(L, mw_error_name(request->error, name));
    lua_setfield(L, -2, "error");
  }
  push_outputs(L, request);
  lua_setfield(L, -2, "output");
}

/* spawn_sync(options, how) -> result */
static int process_spawn_sync(lua_State *L) {
  struct mw_spawn_options options;
  struct sync_box *box;
  luaL_checktype(L, 2, LUA_TTABLE);
  mw_check_spawn_options(L, 1, &options);
  box = push_sync(L, 2, &options);
  mw_sync_run(&box->request);
  push_sync_result(L, &box->request);
  mw_sync_free(&box->request);
  return 1;
}

/* the rest */

/* kill_tree(pid, signum) -> count | nil, errname */
static int process_kill_tree(lua_State *L) {
  lua_Integer pid = luaL_checkinteger(L, 1);
  int count;
  luaL_argcheck(L, pid > 1 && pid <= INT_MAX, 1, "no pid of a process");
  count = mw_tree_kill((pid_t)pid, check_signum(L, 2));
  if (count < 0)
    return mw_push_failure(L, count);
  lua_pushinteger(L, count);
  return 1;
}

/* signal_name(number) -> name | nil */
static int process_signal_name(lua_State *L) {
  lua_Integer signum = luaL_checkinteger(L, 1);
  bool possible = signum > 0 && signum < NSIG;
  lua_pushstring(L, possible ? mw_signals_name((int)signum) : NULL);
  return 1;
}

/* Sets core.signals, and keeps the names by number for on_exit. */
static void open_signals(lua_State *L) {
  size_t count;
  const struct mw_signals_entry *list = mw_signals_list(&count);

  lua_newtable(L);
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, list[i].number);
    lua_setfield(L, -2, list[i].name);
  }
  lua_newtable(L);
  for (int signum = 1; signum < NSIG; signum++) {
    const char *name = mw_signals_name(signum);
    if (name == NULL)
      continue;
    lua_pushstring(L, name);
    lua_rawseti(L, -2, signum);
    if (signum >= SIGRTMIN) {
      lua_pushinteger(L, signum);
      lua_setfield(L, -3, name);
    }
  }
  lua_rawsetp(L, LUA_REGISTRYINDEX, &names_key);
  lua_setfield(L, -2, "signals");
}

static void open_limit_names(lua_State *L) {
  const char *name;
  lua_newtable(L);
  for (size_t i = 0; (name = mw_limits_name_at(i)) != NULL; i++) {
    lua_pushboolean(L, true);
    lua_setfield(L, -2, name);
  }
  lua_setfield(L, -2, "limit_names");
}

static void open_types(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"pid", child_pid},     {"kill", child_kill}, {"ref", child_ref},
      {"unref", child_unref}, {NULL, NULL},
  };
  luaL_newmetatable(L, CHILD_TYPE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, child_tostring);
  lua_setfield(L, -2, "__tostring");
  lua_pushcfunction(L, child_gc);
  lua_setfield(L, -2, "__gc");
  luaL_newmetatable(L, SYNC_TYPE);
  lua_pushcfunction(L, sync_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 2);
}

/* (milliseconds) */
static int process_set_parent_death_grace(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 1);
  luaL_argcheck(L, ms >= 0 && ms <= INT_MAX, 1, "out of range");
  mw_parent_death_set_grace((int)ms);
  return 0;
}

int luaopen_mw_core_process(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"adopt", process_adopt},
      {"spawn", process_spawn},
      {"spawn_sync", process_spawn_sync},
      {"kill_tree", process_kill_tree},
      {"signal_name", process_signal_name},
      {"set_parent_death_grace", process_set_parent_death_grace},
      {NULL, NULL},
  };
  /* Who requires the module a second time finds what runs. */
  if (reaper_box(L) == NULL) {
    open_reaper(L);
    open_types(L);
  }
  luaL_newlib(L, functions);
  open_signals(L);
  open_limit_names(L);
  lua_pushinteger(L, mw_parent_death_signal());
  lua_setfield(L, -2, "parent_death_signal");
  return 1;
}
