#include "bindings/lua_intake.h"

#include <lauxlib.h>
#include <stdint.h>

#include "base/fd.h"
#include "bindings/lua_call.h"
#include "bindings/lua_http.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "cluster/intake.h"
#include "http/server.h"
#include "net/acceptor.h"

#define INTAKE_TYPE "mw.core.intake"
#define ACCEPTOR_TYPE "mw.core.intake.acceptor"

/* The user value of an intake. */
enum { ON_END = 1 };

/* User values of a server: one of mw.core.http; or functions. */
enum { HTTP_SERVER = 1, ROOM = 1, OPEN, TAKE };

/* Live until on_closed. */
struct intake_box {
  struct mw_intake *intake; /* NULL once it is closed */
  lua_State *main;
};

/* Live until `released`. */
struct server_box {
  lua_State *main;
  const struct mw_sink *sink;
  bool accepts; /* by itself, and so has the only copy */
};

struct acceptor_box {
  struct mw_acceptor *acceptor; /* NULL once it is closed */
  struct server_box *server;
  lua_State *main;
};

static void released(void *user) {
  mw_live_drop(((struct server_box *)user)->main, user);
}

/* servers of mw.core.http: no Lua for a connection */

/* NULL where it is closed, or Lua has no room. */
static struct mw_http_server *http_server(const struct server_box *box) {
  if (!lua_checkstack(box->main, 8))
    return NULL;
  mw_live_push_user_value(box->main, box, HTTP_SERVER);
  struct mw_http_server *server = mw_http_server_at(box->main, -1);
  lua_pop(box->main, 1);
  return server;
}

static size_t http_room(void *user) {
  struct mw_http_server *server = http_server(user);
  return server ? mw_http_server_room(server) : 0;
}

static size_t http_open(void *user) {
  struct mw_http_server *server = http_server(user);
  return server ? mw_http_server_count(server) : 0;
}

static void http_take(void *user, int fd) {
  const struct server_box *box = user;
  struct mw_http_server *server = http_server(box);
  int error = !server        ? UV_EBADF
              : box->accepts ? mw_http_server_take_accepted(server, fd)
                             : mw_http_server_take(server, fd);
  if (error)
    mw_fd_close(fd);
}

static const struct mw_sink http_sink = {
    .room = http_room,
    .open = http_open,
    .take = http_take,
    .released = released,
    .turns_away = true,
};

/* servers in Lua */

static size_t ask(const struct server_box *box, int which) {
  lua_State *L = box->main;
  if (!lua_checkstack(L, 8))
    return 0;
  mw_live_push_user_value(L, box, which);
  if (mw_call(L, 0, 1, 0) < 0)
    return 0;
  lua_Number count = lua_tonumber(L, -1);
  lua_pop(L, 1);
  return count >= (lua_Number)UINT32_MAX ? UINT32_MAX
         : count > 0                     ? (size_t)count
                                         : 0;
}

static size_t lua_room(void *user) {
  return ask(user, ROOM);
}

static size_t lua_open(void *user) {
  return ask(user, OPEN);
}

static void lua_take(void *user, int fd) {
  struct server_box *box = user;
  if (!lua_checkstack(box->main, 8)) {
    mw_fd_close(fd);
    return;
  }
  mw_live_push_user_value(box->main, box, TAKE);
  lua_pushinteger(box->main, fd);
  mw_call(box->main, 1, 0, 0);
}

static const struct mw_sink lua_sink = {
    .room = lua_room,
    .open = lua_open,
    .take = lua_take,
    .released = released,
};

/* intakes */

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

static void set_functions(lua_State *L, int table, int box) {
  static const char *const names[] = {
      [ROOM] = "room", [OPEN] = "open", [TAKE] = "take"};
  for (int i = ROOM; i <= TAKE; i++) {
    lua_getfield(L, table, names[i]);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_setiuservalue(L, box, i);
  }
}

/* Makes the box of a server, live from now on: one of mw.core.http, or a table
   of functions: room() -> how many more, open() -> how many, take(fd). */
static struct server_box *new_server(lua_State *L, int index) {
  struct server_box *box = lua_newuserdatauv(L, sizeof *box, TAKE);
  int self = lua_gettop(L);
  *box = (struct server_box){.main = mw_calls(L)->main, .sink = &http_sink};
  if (lua_istable(L, index)) {
    box->sink = &lua_sink;
    set_functions(L, index, self);
  } else {
    mw_http_server_at(L, index); /* raises for anything else */
    lua_pushvalue(L, index);
    lua_setiuservalue(L, self, HTTP_SERVER);
  }
  mw_live_put(L, box);
  return box;
}

/* serve(key, server) -> true | nil, errname: what comes for the key is the
   server's. */
static int intake_serve(lua_State *L) {
  struct intake_box *box = check_intake(L);
  uint32_t key = (uint32_t)luaL_checkinteger(L, 2);
  if (!box->intake)
    return mw_push_failure(L, UV_EBADF);
  struct server_box *server = new_server(L, 3);
  int error = mw_intake_serve(box->intake, key, server->sink, server);
  if (!error) {
    lua_pushboolean(L, true);
    return 1;
  }
  released(server);
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

/* acceptors */

static void on_connection(void *user, int fd) {
  struct server_box *server = ((struct acceptor_box *)user)->server;
  server->sink->take(server, fd);
}

/* What could not be accepted waits in the kernel: there is nobody to tell. */
static void on_refused(void *user, int error) {
  (void)user;
  (void)error;
}

static void on_acceptor_closed(void *user) {
  struct acceptor_box *box = user;
  if (!lua_checkstack(box->main, 8))
    return;
  released(box->server);
  mw_live_drop(box->main, box);
}

static const struct mw_acceptor_events acceptor_events = {
    .on_connection = on_connection,
    .on_refused = on_refused,
    .on_closed = on_acceptor_closed,
};

/* acceptor(fd, exclusive, server) -> acceptor | nil, errname: gives
   the server what comes at a listening descriptor, its own from then on, once
   it is started. */
static int new_acceptor(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  lua_settop(L, 3);
  struct acceptor_box *box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = (struct acceptor_box){.main = mw_calls(L)->main};
  luaL_setmetatable(L, ACCEPTOR_TYPE);
  box->server = new_server(L, 3);
  box->server->accepts = true;
  lua_pushvalue(L, 4);
  mw_live_put(L, box);
  int error = mw_acceptor_open(mw_loop(L), fd, lua_toboolean(L, 2),
                               &acceptor_events, box, &box->acceptor);
  if (!error) {
    if (box->server->sink == &http_sink)
      mw_http_server_prepare(fd);
    return 1;
  }
  on_acceptor_closed(box);
  return mw_push_failure(L, error);
}

static struct acceptor_box *check_acceptor(lua_State *L) {
  return luaL_checkudata(L, 1, ACCEPTOR_TYPE);
}

/* start(): accepts */
static int acceptor_start(lua_State *L) {
  struct acceptor_box *box = check_acceptor(L);
  if (box->acceptor)
    mw_acceptor_start(box->acceptor);
  return 0;
}

/* stop(): what comes waits in the kernel, for others too */
static int acceptor_stop(lua_State *L) {
  struct acceptor_box *box = check_acceptor(L);
  if (box->acceptor)
    mw_acceptor_stop(box->acceptor);
  return 0;
}

/* set_referenced(boolean) */
static int acceptor_set_referenced(lua_State *L) {
  struct acceptor_box *box = check_acceptor(L);
  if (box->acceptor)
    mw_acceptor_set_referenced(box->acceptor, lua_toboolean(L, 2));
  return 0;
}

static void close_acceptor(void *object) {
  struct acceptor_box *box = object;
  if (box->acceptor)
    mw_acceptor_close(box->acceptor);
  box->acceptor = NULL;
}

/* close() */
static int acceptor_close(lua_State *L) {
  close_acceptor(check_acceptor(L));
  return 0;
}

void mw_intakes_close(lua_State *L) {
  mw_live_close_all(L, INTAKE_TYPE, close_intake);
  mw_live_close_all(L, ACCEPTOR_TYPE, close_acceptor);
}

int luaopen_mw_core_intake(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"intake", new_intake},
      {"acceptor", new_acceptor},
      {NULL, NULL},
  };
  static const luaL_Reg intake_methods[] = {
      {"serve", intake_serve},
      {"leave", intake_leave},
      {"set_referenced", intake_set_referenced},
      {"close", intake_close},
      {NULL, NULL},
  };
  static const luaL_Reg acceptor_methods[] = {
      {"start", acceptor_start},
      {"stop", acceptor_stop},
      {"set_referenced", acceptor_set_referenced},
      {"close", acceptor_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, INTAKE_TYPE, intake_methods);
  mw_live_open_type(L, ACCEPTOR_TYPE, acceptor_methods);
  luaL_newlib(L, functions);
  return 1;
}
