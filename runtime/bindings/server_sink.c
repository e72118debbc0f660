#include "bindings/server_sink.h"

#include <lauxlib.h>

#include "base/fd.h"
#include "bindings/lua_call.h"
#include "bindings/lua_http.h"
#include "bindings/lua_live.h"
#include "http/server.h"

/* User values: a server of mw.core.http; or functions. */
enum { HTTP_SERVER = 1, ROOM = 1, OPEN, TAKE };

void mw_server_sink_release(void *user) {
  mw_live_drop(((struct mw_server_sink *)user)->main, user);
}

/* servers of mw.core.http: no Lua for a connection */

/* NULL where it is closed, or Lua has no room. */
static struct mw_http_server *http_server(const struct mw_server_sink *box) {
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
  const struct mw_server_sink *box = user;
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
    .released = mw_server_sink_release,
    .turns_away = true,
};

/* servers in Lua */

static size_t ask(const struct mw_server_sink *box, int which) {
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
  struct mw_server_sink *box = user;
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
    .released = mw_server_sink_release,
};

static void set_functions(lua_State *L, int table, int box) {
  static const char *const names[] = {
      [ROOM] = "room", [OPEN] = "open", [TAKE] = "take"};
  for (int i = ROOM; i <= TAKE; i++) {
    lua_getfield(L, table, names[i]);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_setiuservalue(L, box, i);
  }
}

struct mw_server_sink *mw_server_sink_new(lua_State *L, int index) {
  struct mw_server_sink *box = lua_newuserdatauv(L, sizeof *box, TAKE);
  int self = lua_gettop(L);
  *box = (struct mw_server_sink){.main = mw_calls(L)->main, .sink = &http_sink};
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

bool mw_server_sink_serves_http(const struct mw_server_sink *box) {
  return box->sink == &http_sink;
}
