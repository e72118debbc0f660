#include "bindings/lua_intake.h"

#include <lauxlib.h>
#include <stdint.h>

#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "bindings/server_sink.h"
#include "cluster/intake.h"

#define INTAKE_TYPE "mw.core.intake"

/* The user value of an intake. */
enum { ON_END = 1 };

/* Live until on_closed. */
struct intake_box {
  struct mw_intake *intake; /* NULL once it is closed */
  lua_State *main;
};

static void on_end(void *user) {
  struct intake_box *box = user;
  if (!lua_checkstack(box->main, 8))
    return;
  mw_live_push_user_value(box->main, box, ON_END);
  mw_call(box->main, 0, 0, 0);
}

static void on_closed(void *user) {
  if (lua_checkstack(((struct intake_box *)user)->main, 8))
    mw_live_drop(((struct intake_box *)user)->main, user);
}

static const struct mw_intake_events intake_events = {
    .on_end = on_end,
    .on_closed = on_closed,
};

/* intake(fd, counts, on_end) -> intake | nil, errname: `counts` where the
   master wants to know how many connections are open. */
static int new_intake(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  struct intake_box *box = lua_newuserdatauv(L, sizeof *box, ON_END);
  *box = (struct intake_box){.main = mw_calls(L)->main};
  luaL_setmetatable(L, INTAKE_TYPE);
  lua_pushvalue(L, 3);
  lua_setiuservalue(L, 4, ON_END);
  lua_pushvalue(L, 4);
  mw_live_put(L, box);
  int error = mw_intake_open(mw_loop(L), fd, lua_toboolean(L, 2),
                             &intake_events, box, &box->intake);
  if (!error)
    return 1;
  mw_live_drop(L, box);
  return mw_push_failure(L, error);
}

static struct intake_box *check_intake(lua_State *L) {
  return luaL_checkudata(L, 1, INTAKE_TYPE);
}

/* serve(key, server) -> true | nil, errname: what comes for the key is the
   server's. */
static int intake_serve(lua_State *L) {
  struct intake_box *box = check_intake(L);
  uint32_t key = (uint32_t)luaL_checkinteger(L, 2);
  if (!box->intake)
    return mw_push_failure(L, UV_EBADF);
  struct mw_server_sink *server = mw_server_sink_new(L, 3);
  int error = mw_intake_serve(box->intake, key, server->sink, server);
  if (!error) {
    lua_pushboolean(L, true);
    return 1;
  }
  mw_server_sink_release(server);
  return mw_push_failure(L, error);
}

/* leave(key) */
static int intake_leave(lua_State *L) {
  struct intake_box *box = check_intake(L);
  uint32_t key = (uint32_t)luaL_checkinteger(L, 2);
  if (box->intake)
    mw_intake_leave(box->intake, key);
  return 0;
}

/* set_referenced(key, boolean): whether a server keeps the loop alive */
static int intake_set_referenced(lua_State *L) {
  struct intake_box *box = check_intake(L);
  uint32_t key = (uint32_t)luaL_checkinteger(L, 2);
  if (box->intake)
    mw_intake_set_referenced(box->intake, key, lua_toboolean(L, 3));
  return 0;
}

static void close_intake(void *object) {
  struct intake_box *box = object;
  if (box->intake)
    mw_intake_close(box->intake);
  box->intake = NULL;
}

/* close() */
static int intake_close(lua_State *L) {
  close_intake(check_intake(L));
  return 0;
}

void mw_intakes_close(lua_State *L) {
  mw_live_close_all(L, INTAKE_TYPE, close_intake);
}

int luaopen_mw_core_intake(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"intake", new_intake},
      {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
      {"serve", intake_serve},
      {"leave", intake_leave},
      {"set_referenced", intake_set_referenced},
      {"close", intake_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, INTAKE_TYPE, methods);
  luaL_newlib(L, functions);
  return 1;
}
