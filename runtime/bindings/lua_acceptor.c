#include "bindings/lua_acceptor.h"

#include <lauxlib.h>

#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"
#include "bindings/server_sink.h"
#include "http/server.h"
#include "net/acceptor.h"

#define ACCEPTOR_TYPE "mw.core.acceptor"

/* Live until on_closed. */
struct acceptor_box {
  struct mw_acceptor *acceptor; /* NULL once it is closed */
  struct mw_server_sink *server;
  lua_State *main;
};

static void on_connection(void *user, int fd) {
  struct mw_server_sink *server = ((struct acceptor_box *)user)->server;
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
  mw_server_sink_release(box->server);
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
  box->server = mw_server_sink_new(L, 3);
  box->server->accepts = true;
  lua_pushvalue(L, 4);
  mw_live_put(L, box);
  int error = mw_acceptor_open(mw_loop(L), fd, lua_toboolean(L, 2),
                               &acceptor_events, box, &box->acceptor);
  if (!error) {
    if (mw_server_sink_serves_http(box->server))
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

void mw_acceptors_close(lua_State *L) {
  mw_live_close_all(L, ACCEPTOR_TYPE, close_acceptor);
}

int luaopen_mw_core_acceptor(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", new_acceptor},
      {NULL, NULL},
  };
  static const luaL_Reg methods[] = {
      {"start", acceptor_start},
      {"stop", acceptor_stop},
      {"set_referenced", acceptor_set_referenced},
      {"close", acceptor_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, ACCEPTOR_TYPE, methods);
  luaL_newlib(L, functions);
  return 1;
}
