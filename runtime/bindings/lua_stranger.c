#include "bindings/lua_stranger.h"

#include <lauxlib.h>
#include <limits.h>
#include <signal.h>

#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "process/stranger.h"

#define STRANGER_TYPE "mw.core.stranger"

/* The user value. */
enum { ON_END = 1 };

/* Live until on_closed. */
struct stranger_box {
  struct mw_stranger *stranger; /* NULL once it has ended, or is closed */
  pid_t pid;
  lua_State *main;
};

static void close_stranger(void *object) {
  struct stranger_box *box = object;
  if (box->stranger)
    mw_stranger_close(box->stranger);
  box->stranger = NULL;
}

static void on_end(void *user) {
  struct stranger_box *box = user;
  close_stranger(box);
  if (!lua_checkstack(box->main, 8))
    return;
  mw_live_push_user_value(box->main, box, ON_END);
  mw_call(box->main, 0, 0, 0);
}

static void on_closed(void *user) {
  struct stranger_box *box = user;
  if (lua_checkstack(box->main, 8))
    mw_live_drop(box->main, box);
}

static const struct mw_stranger_events stranger_events = {
    .on_end = on_end,
    .on_closed = on_closed,
};

static pid_t check_pid(lua_State *L, int index) {
  lua_Integer pid = luaL_checkinteger(L, index);
  luaL_argcheck(L, pid > 1 && pid <= INT_MAX, index, "no pid of a process");
  return (pid_t)pid;
}

/* find(pid) -> fd that stands for the process | nil, errname */
static int find(lua_State *L) {
  int fd = mw_stranger_find(check_pid(L, 1));
  if (fd < 0)
    return mw_push_failure(L, fd);
  lua_pushinteger(L, fd);
  return 1;
}

/* watch(fd, pid, on_end) -> stranger | nil, errname: the descriptor is its own
   from then on, and closed once the process has ended. */
static int watch(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  pid_t pid = check_pid(L, 2);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  struct stranger_box *box = lua_newuserdatauv(L, sizeof *box, ON_END);
  *box = (struct stranger_box){.pid = pid, .main = mw_calls(L)->main};
  luaL_setmetatable(L, STRANGER_TYPE);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 4, ON_END);
  lua_pushvalue(L, 4);
  mw_live_put(L, box);
  int error =
      mw_stranger_watch(mw_loop(L), fd, &stranger_events, box, &box->stranger);
  if (!error)
    return 1;
  mw_live_drop(L, box);
  return mw_push_failure(L, error);
}

static struct stranger_box *check_stranger(lua_State *L) {
  return luaL_checkudata(L, 1, STRANGER_TYPE);
}

static int stranger_pid(lua_State *L) {
  lua_pushinteger(L, check_stranger(L)->pid);
  return 1;
}

/* fileno() -> fd | nil, which stays its own */
static int stranger_fileno(lua_State *L) {
  struct stranger_box *box = check_stranger(L);
  if (!box->stranger)
    return 0;
  lua_pushinteger(L, mw_stranger_fd(box->stranger));
  return 1;
}

/* kill(signum) -> true | nil, errname */
static int stranger_kill(lua_State *L) {
  struct stranger_box *box = check_stranger(L);
  lua_Integer signum = luaL_checkinteger(L, 2);
  luaL_argcheck(L, signum >= 0 && signum < NSIG, 2, "no such signal");
  int error =
      box->stranger ? mw_stranger_kill(box->stranger, (int)signum) : UV_ESRCH;
  return mw_push_result(L, error);
}

static int set_referenced(lua_State *L, bool referenced) {
  struct stranger_box *box = check_stranger(L);
  if (box->stranger)
    mw_stranger_set_referenced(box->stranger, referenced);
  return 0;
}

static int stranger_ref(lua_State *L) {
  return set_referenced(L, true);
}

static int stranger_unref(lua_State *L) {
  return set_referenced(L, false);
}

/* close(): of its end nothing will be heard */
static int stranger_close(lua_State *L) {
  close_stranger(check_stranger(L));
  return 0;
}

void mw_strangers_close(lua_State *L) {
  mw_live_close_all(L, STRANGER_TYPE, close_stranger);
}

int luaopen_mw_core_stranger(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", find},
      {"watch", watch},
      {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
      {"pid", stranger_pid},
      {"fileno", stranger_fileno},
      {"kill", stranger_kill},
      {"ref", stranger_ref},
      {"unref", stranger_unref},
      {"close", stranger_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, STRANGER_TYPE, methods);
  luaL_newlib(L, functions);
  return 1;
}
