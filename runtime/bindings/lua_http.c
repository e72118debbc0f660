#include "bindings/lua_http.h"

#include <lauxlib.h>

#include "base/error_name.h"
#include "bindings/http_exchange.h"
#include "bindings/http_reader.h"
#include "bindings/lua_call.h"
#include "http/server.h"

#define SERVER_TYPE "mw.core.http.server"

/* The callbacks of a server, as user values of its box. */
enum {
  ON_REQUEST = 1, /* (exchange) */
  ON_UPGRADE,     /* (exchange) -> whether it is taken; then it was given away
                   */
  ON_DATA,        /* (exchange, piece): nil at the end of the body */
  ON_DRAIN,       /* (exchange): more may be written */
  ON_OVER,        /* (exchange, errname): nil where all went well. Not told of
                     what was over when on_request returned. */
  ON_REFUSED,     /* (errname): a connection could not be accepted */
  ON_EMPTY,       /* (): after drain(), no connection is left */
  CALLBACK_COUNT = ON_EMPTY
};

/* In the live table, by address, until on_closed; so are exchanges that are not
   over, by that of their connection. */
struct server_box {
  struct mw_http_server *server; /* NULL once it is closed */
  lua_State *main;
};

static char live_key;

static int push_failure(lua_State *L, int code) {
  char name[MW_ERROR_NAME_SIZE];
  lua_pushnil(L);
  lua_pushstring(L, mw_error_name(code, name));
  return 2;
}

/* live objects */

static void push_live(lua_State *L, const void *key) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key);
  lua_rawgetp(L, -1, key);
  lua_remove(L, -2);
}

/* [value] -> [] */
static void set_live(lua_State *L, const void *key) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key);
  lua_insert(L, -2);
  lua_rawsetp(L, -2, key);
  lua_pop(L, 1);
}

/* Needs no memory, so it cannot raise. */
static void leave_live(lua_State *L, const void *key) {
  lua_pushnil(L);
  set_live(L, key);
}

static bool push_callback(lua_State *L, const struct server_box *box,
                          int which) {
  if (!lua_checkstack(L, 16))
    return false;
  push_live(L, box);
  lua_getiuservalue(L, -1, which);
  lua_remove(L, -2);
  return true;
}

/* requests */

struct arrival {
  struct server_box *box;
  struct mw_http_connection *connection;
  const struct mw_http_head *head;
  const char *bytes;
  size_t size;
  bool taken;
};

static void keep_exchange(lua_State *L, struct mw_http_exchange *exchange,
                          int index) {
  struct mw_http_connection *connection = exchange->connection;
  if (mw_http_exchange_is_done(connection)) {
    *mw_http_exchange_user(connection) = NULL;
    exchange->connection = NULL;
    return;
  }
  lua_pushvalue(L, index);
  set_live(L, connection);
}

/* (arrival): the request, to the callback. What is not over then is kept. */
static int deliver_request(lua_State *L) {
  struct arrival *arrival = lua_touserdata(L, 1);
  struct mw_http_exchange *exchange;
  mw_http_exchange_push(L, arrival->connection, arrival->head, arrival->bytes,
                        arrival->size, &exchange);
  *mw_http_exchange_user(arrival->connection) = exchange;
  push_callback(L, arrival->box, ON_REQUEST);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 0);
  if (exchange->connection)
    keep_exchange(L, exchange, 2);
  return 0;
}

/* (arrival): the same; what is not taken by the callback is for on_request. */
static int deliver_upgrade(lua_State *L) {
  struct arrival *arrival = lua_touserdata(L, 1);
  struct mw_http_exchange *exchange;
  mw_http_exchange_push(L, arrival->connection, arrival->head, arrival->bytes,
                        arrival->size, &exchange);
  push_callback(L, arrival->box, ON_UPGRADE);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  arrival->taken = exchange->connection == NULL;
  exchange->connection = NULL;
  return 0;
}

/* Calls `deliver` protected. The callback itself lets no error through: this
   is for a lack of memory. */
static void call_with(struct arrival *arrival, lua_CFunction deliver) {
  lua_State *L = arrival->box->main;
  bool is_called = lua_checkstack(L, 8);
  if (is_called) {
    lua_pushcfunction(L, deliver);
    lua_pushlightuserdata(L, arrival);
    is_called = mw_call(L, 1, 0, 0) >= 0;
  }
  if (is_called || arrival->taken)
    return;
  *mw_http_exchange_user(arrival->connection) = NULL;
  mw_http_exchange_cut(arrival->connection);
}

static void on_request(void *user, struct mw_http_connection *connection,
                       const struct mw_http_head *head, const char *bytes,
                       size_t size) {
  struct arrival arrival = {user, connection, head, bytes, size, false};
  call_with(&arrival, deliver_request);
}

static bool on_upgrade(void *user, struct mw_http_connection *connection,
                       const struct mw_http_head *head, const char *bytes,
                       size_t size) {
  struct arrival arrival = {user, connection, head, bytes, size, false};
  call_with(&arrival, deliver_upgrade);
  return arrival.taken;
}

/* what becomes of them */

struct piece {
  const char *bytes;
  size_t length;
};

/* (callback, exchange, piece) */
static int deliver_data(lua_State *L) {
  struct piece *piece = lua_touserdata(L, 3);
  lua_settop(L, 2);
  lua_pushlstring(L, piece->bytes, piece->length);
  lua_call(L, 2, 0);
  return 0;
}

static void on_data(void *user, struct mw_http_connection *connection,
                    const char *bytes, size_t length) {
  struct server_box *box = user;
  lua_State *L = box->main;
  struct piece piece = {bytes, length};
  if (!lua_checkstack(L, 16))
    return;
  if (bytes)
    lua_pushcfunction(L, deliver_data);
  push_callback(L, box, ON_DATA);
  push_live(L, connection);
  if (bytes)
    lua_pushlightuserdata(L, &piece);
  mw_call(L, bytes ? 3 : 1, 0, 0);
}

static void on_drain(void *user, struct mw_http_connection *connection) {
  struct server_box *box = user;
  if (!push_callback(box->main, box, ON_DRAIN))
    return;
  push_live(box->main, connection);
  mw_call(box->main, 1, 0, 0);
}

static int push_error(lua_State *L, int error) {
  char name[MW_ERROR_NAME_SIZE];
  if (error)
    lua_pushstring(L, mw_error_name(error, name));
  else
    lua_pushnil(L);
  return 1;
}

/* One whose on_request still runs is not in the live table; it will see by
   itself that it is over. */
static void on_over(void *user, struct mw_http_connection *connection,
                    int error) {
  struct server_box *box = user;
  lua_State *L = box->main;
  struct mw_http_exchange *exchange = *mw_http_exchange_user(connection);
  exchange->connection = NULL;
  if (!push_callback(L, box, ON_OVER))
    return;
  push_live(L, connection);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 2);
    return;
  }
  leave_live(L, connection);
  push_error(L, error);
  mw_call(L, 2, 0, 0);
}

static void on_refused(void *user, int error) {
  struct server_box *box = user;
  if (!push_callback(box->main, box, ON_REFUSED))
    return;
  push_error(box->main, error);
  mw_call(box->main, 1, 0, 0);
}

static void on_empty(void *user) {
  struct server_box *box = user;
  if (push_callback(box->main, box, ON_EMPTY))
    mw_call(box->main, 0, 0, 0);
}

static void on_closed(void *user) {
  struct server_box *box = user;
  box->server = NULL;
  if (lua_checkstack(box->main, 8))
    leave_live(box->main, box);
}

static const struct mw_http_events events = {
    .on_request = on_request,
    .on_upgrade = on_upgrade,
    .on_data = on_data,
    .on_drain = on_drain,
    .on_over = on_over,
    .on_refused = on_refused,
    .on_empty = on_empty,
    .on_closed = on_closed,
};

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
  static const char *const names[CALLBACK_COUNT] = {
      "on_request", "on_upgrade", "on_data", "on_drain",
      "on_over",    "on_refused", "on_empty"};
  luaL_checktype(L, table, LUA_TTABLE);
  for (int i = 0; i < CALLBACK_COUNT; i++) {
    lua_getfield(L, table, names[i]);
    luaL_checktype(L, -1, LUA_TFUNCTION);
    lua_setiuservalue(L, box, i + 1);
  }
}

/* open(limits, callbacks) -> server | nil, errname */
static int http_open(lua_State *L) {
  mw_check_loop(L, "listen");
  struct mw_http_limits limits = check_limits(L, 1);
  lua_settop(L, 2);
  struct server_box *box = lua_newuserdatauv(L, sizeof *box, CALLBACK_COUNT);
  *box = (struct server_box){.main = mw_calls(L)->main};
  luaL_setmetatable(L, SERVER_TYPE);
  set_callbacks(L, 2, 3);
  lua_pushvalue(L, 3);
  set_live(L, box);
  int error =
      mw_http_server_open(mw_loop(L), &limits, &events, box, &box->server);
  if (!error)
    return 1;
  leave_live(L, box);
  return push_failure(L, error);
}

struct mw_http_server *mw_http_server_at(lua_State *L, int index) {
  return ((struct server_box *)luaL_checkudata(L, index, SERVER_TYPE))->server;
}

static int push_result(lua_State *L, int error) {
  if (error)
    return push_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* listen(fd) -> true | nil, errname: accepts; takes the descriptor over. */
static int server_listen(lua_State *L) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  int fd = (int)luaL_checkinteger(L, 2);
  return push_result(L, server ? mw_http_server_listen(server, fd) : UV_EBADF);
}

/* take(fd, unread | nil) -> true | nil, errname: a connection, taken over, off
   which those bytes have been read already. */
static int server_take(lua_State *L) {
  struct mw_http_server *server = mw_http_server_at(L, 1);
  int fd = (int)luaL_checkinteger(L, 2);
  size_t length;
  const char *unread = luaL_optlstring(L, 3, "", &length);
  return push_result(
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

static int server_close(lua_State *L) {
  return with_server(L, mw_http_server_close);
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
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key) == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      struct server_box *box = luaL_testudata(L, -1, SERVER_TYPE);
      if (box && box->server)
        mw_http_server_close(box->server);
    }
  }
  lua_pop(L, 1);
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
  luaL_newmetatable(L, SERVER_TYPE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

/* Once: what lives goes on where somebody opens the module again. */
static void open_live_table(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &live_key) == LUA_TNIL) {
    lua_newtable(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &live_key);
  }
  lua_pop(L, 1);
}

int luaopen_mw_core_http(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", http_open},         {"reader", mw_http_reader_new},
      {"is_token", http_is_token}, {"is_value", http_is_value},
      {"reason", http_reason},     {NULL, NULL},
  };
  open_live_table(L);
  open_server_class(L);
  mw_http_exchange_open_class(L);
  mw_http_reader_open_class(L);
  luaL_newlib(L, functions);
  return 1;
}
