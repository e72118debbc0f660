#include "bindings/lua_http.h"

#include <lauxlib.h>

#include "bindings/http_callbacks.h"
#include "bindings/http_exchange.h"
#include "bindings/http_reader.h"
#include "bindings/lua_call.h"
#include "bindings/lua_live.h"
#include "bindings/lua_result.h"

#define SERVER_TYPE "mw.core.http.server"

/* the object */

static lua_Integer limit(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  lua_Integer value = luaL_checkinteger(L, -1);
  luaL_argcheck(L, value >= 0, table, name);
  lua_pop(L, 1);
  return value;
}

static struct mw_http_limits check_limits(lua_State *L, int table) {
  luaL_checktype(L, table, LUA_TTABLE);
  return (struct mw_http_limits){
      .max_header_size = (size_t)limit(L, table, "max_header_size"),
      .max_headers = (unsigned)limit(L, table, "max_headers"),
      .max_body = (uint64_t)limit(L, table, "max_body"),
      .max_connections = (size_t)limit(L, table, "max_connections"),
      .headers_timeout = (uint64_t)limit(L, table, "headers_timeout"),
      .request_timeout = (uint64_t)limit(L, table, "request_timeout"),
      .send_timeout = (uint64_t)limit(L, table, "send_timeout"),
      .keep_alive_timeout = (uint64_t)limit(L, table, "keep_alive_timeout"),
      .drain_timeout = (uint64_t)limit(L, table, "drain_timeout"),
  };
}

static void set_callbacks(lua_State *L, int table, int box) {
  static const char *const names[MW_HTTP_CALLBACK_COUNT] = {
      "on_request", "on_upgrade", "on_data", "on_drain",
      "on_over",    "on_refused", "on_empty"};
  luaL_checktype(L, table, LUA_TTABLE);
  for (int i = 0; i < MW_HTTP_CALLBACK_COUNT; i++) {
    lua_getfield(L, table, names[i]);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    if (i + 1 <= MW_HTTP_ON_UPGRADE)
      mw_http_push_deliverer(L, i + 1);
    lua_setiuservalue(L, box, i + 1);
  }
}

/* open(limits, callbacks) -> server | nil, errname */
static int http_open(lua_State *L) {
  mw_check_loop(L, "listen");
  struct mw_http_limits limits = check_limits(L, 1);
  lua_settop(L, 2);
  struct mw_http_box *box =
      lua_newuserdatauv(L, sizeof *box, MW_HTTP_CALLBACK_COUNT);
  *box = (struct mw_http_box){.main = mw_calls(L)->main};
  luaL_setmetatable(L, SERVER_TYPE);
  set_callbacks(L, 2, 3);
  lua_pushvalue(L, 3);
  mw_live_put(L, box);
  int error = mw_http_server_open(mw_loop(L), &limits, &mw_http_callbacks, box,
                                  &box->server);
  if (!error)
    return 1;
  mw_live_drop(L, box);
  return mw_push_failure(L, error);
}

struct mw_http_server *mw_http_server_at(lua_State *L, int index) {
  return ((struct mw_http_box *)luaL_checkudata(L, index, SERVER_TYPE))->server;
}

/* listen(fd) -> true | nil, errname: accepts; takes the descriptor over. */
static int server_listen(lua_State *L) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  int fd = (int)luaL_checkinteger(L, 2);
  return mw_push_result(L,
                        server ? mw_http_server_listen(server, fd) : UV_EBADF);
}

/* take(fd, unread | nil) -> true | nil, errname: a connection, taken over, off
   which those bytes have been read already. */
static int server_take(lua_State *L) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  int fd = (int)luaL_checkinteger(L, 2);
  size_t length;
  const char *unread = luaL_optlstring(L, 3, "", &length);
  return mw_push_result(
      L, server ? mw_http_server_take_begun(server, fd, unread, length)
                : UV_EBADF);
}

static int with_server(lua_State *L,
                       void (*call)(struct mw_http_server *server)) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  if (server)
    call(server);
  return 0;
}

/* drain(): accepts no more; on_empty comes where there are connections. */
static int server_drain(lua_State *L) {
  return with_server(L, mw_http_server_drain);
}

static int server_end_idle(lua_State *L) {
  return with_server(L, mw_http_server_end_idle);
}

static int server_end_all(lua_State *L) {
  return with_server(L, mw_http_server_end_all);
}

static void close_box(void *object) {
  struct mw_http_box *box = object;
  if (box->server)
    mw_http_server_close(box->server);
}

static int server_close(lua_State *L) {
  close_box(luaL_checkudata(L, 1, SERVER_TYPE));
  return 0;
}

/* count() -> how many connections there are */
static int server_count(lua_State *L) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  lua_pushinteger(L, server ? (lua_Integer)mw_http_server_count(server) : 0);
  return 1;
}

/* set_referenced(boolean) */
static int server_set_referenced(lua_State *L) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  if (server)
    mw_http_server_set_referenced(server, lua_toboolean(L, 2));
  return 0;
}

void mw_http_servers_close(lua_State *L) {
  mw_live_close_all(L, SERVER_TYPE, close_box);
}

/* is_token(text), is_value(text) -> boolean; reason(status) -> text */
static int http_is_token(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, mw_http_is_token(text, length));
  return 1;
}

static int http_is_value(lua_State *L) {
  size_t length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_pushboolean(L, mw_http_is_value(text, length));
  return 1;
}

static int http_reason(lua_State *L) {
  lua_pushstring(L, mw_http_reason((int)luaL_checkinteger(L, 1)));
  return 1;
}

static void open_server_class(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"listen", server_listen},
      {"take", server_take},
      {"drain", server_drain},
      {"end_idle", server_end_idle},
      {"end_all", server_end_all},
      {"count", server_count},
      {"set_referenced", server_set_referenced},
      {"close", server_close},
      {NULL, NULL},
  };
  mw_live_open_type(L, SERVER_TYPE, methods);
}

int luaopen_mw_core_http(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", http_open},         {"reader", mw_http_reader_new},
      {"is_token", http_is_token}, {"is_value", http_is_value},
      {"reason", http_reason},     {NULL, NULL},
  };
  open_server_class(L);
  mw_http_exchange_open_class(L);
  mw_http_reader_open_class(L);
  luaL_newlib(L, functions);
  return 1;
}
