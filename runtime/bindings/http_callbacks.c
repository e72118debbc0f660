#include "bindings/http_callbacks.h"

#include <lauxlib.h>

#include "base/error_name.h"
#include "bindings/http_exchange.h"
#include "bindings/lua_call.h"
#include "bindings/lua_live.h"

static char arriving_key; /* of the exchange that was delivered last */

static bool push_callback(lua_State *L, const struct mw_http_box *box,
                          int which) {
  if (!lua_checkstack(L, 16))
    return false;
  mw_live_push_user_value(L, box, which);
  return true;
}

/* requests */

struct arrival {
  struct mw_http_box *box;
  struct mw_http_connection *connection;
  const struct mw_http_head *head;
  const char *bytes;
  size_t size;
  bool taken;
  struct mw_http_exchange *exchange;
};

enum { CALLBACK = 1 }; /* the upvalue of who delivers */

/* [] -> [exchange]: held by the registry too, so that it is there when the
   delivery has failed. Not by an upvalue: what an old function holds counts as
   old to the collector. */
static void push_exchange(lua_State *L, struct arrival *arrival) {
  struct mw_http_exchange *exchange;
  mw_http_exchange_push(L, arrival->connection, arrival->head, arrival->bytes,
                        arrival->size, &exchange);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &arriving_key);
  arrival->exchange = exchange;
}

static void keep_exchange(lua_State *L, struct mw_http_exchange *exchange,
                          int index) {
  struct mw_http_connection *connection = exchange->connection;
  if (mw_http_exchange_is_done(connection)) {
    *mw_http_exchange_user(connection) = NULL;
    exchange->connection = NULL;
    return;
  }
  lua_pushvalue(L, index);
  mw_live_put(L, connection);
}

/* (arrival): the request, to the callback. What is not over then is kept. */
static int deliver_request(lua_State *L) {
  struct arrival *arrival = lua_touserdata(L, 1);
  push_exchange(L, arrival);
  *mw_http_exchange_user(arrival->connection) = arrival->exchange;
  lua_pushvalue(L, lua_upvalueindex(CALLBACK));
  lua_pushvalue(L, 2);
  lua_call(L, 1, 0);
  if (arrival->exchange->connection)
    keep_exchange(L, arrival->exchange, 2);
  return 0;
}

/* (arrival): the same; what is not taken by the callback is for on_request. */
static int deliver_upgrade(lua_State *L) {
  struct arrival *arrival = lua_touserdata(L, 1);
  push_exchange(L, arrival);
  lua_pushvalue(L, lua_upvalueindex(CALLBACK));
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  arrival->taken = arrival->exchange->connection == NULL;
  arrival->exchange->connection = NULL;
  return 0;
}

void mw_http_push_deliverer(lua_State *L, int which) {
  lua_pushcclosure(
      L, which == MW_HTTP_ON_REQUEST ? deliver_request : deliver_upgrade, 1);
}

/* The callback itself lets no error through: what may fail is the delivery, for
   lack of memory. */
static void call_with(struct arrival *arrival, int which) {
  lua_State *L = arrival->box->main;
  bool is_called = push_callback(L, arrival->box, which);
  if (is_called) {
    lua_pushlightuserdata(L, arrival);
    is_called = mw_call(L, 1, 0, 0) >= 0;
  }
  if (is_called || arrival->taken)
    return;
  if (arrival->exchange)
    arrival->exchange->connection = NULL;
  *mw_http_exchange_user(arrival->connection) = NULL;
  mw_http_exchange_cut(arrival->connection);
}

static void on_request(void *user, struct mw_http_connection *connection,
                       const struct mw_http_head *head, const char *bytes,
                       size_t size) {
  struct arrival arrival = {user, connection, head, bytes, size, false, NULL};
  call_with(&arrival, MW_HTTP_ON_REQUEST);
}

static bool on_upgrade(void *user, struct mw_http_connection *connection,
                       const struct mw_http_head *head, const char *bytes,
                       size_t size) {
  struct arrival arrival = {user, connection, head, bytes, size, false, NULL};
  call_with(&arrival, MW_HTTP_ON_UPGRADE);
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
  struct mw_http_box *box = user;
  lua_State *L = box->main;
  struct piece piece = {bytes, length};
  if (!lua_checkstack(L, 16))
    return;
  if (bytes)
    lua_pushcfunction(L, deliver_data);
  push_callback(L, box, MW_HTTP_ON_DATA);
  mw_live_push(L, connection);
  if (bytes)
    lua_pushlightuserdata(L, &piece);
  mw_call(L, bytes ? 3 : 1, 0, 0);
}

static void on_drain(void *user, struct mw_http_connection *connection) {
  struct mw_http_box *box = user;
  if (!push_callback(box->main, box, MW_HTTP_ON_DRAIN))
    return;
  mw_live_push(box->main, connection);
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
  struct mw_http_box *box = user;
  lua_State *L = box->main;
  struct mw_http_exchange *exchange = *mw_http_exchange_user(connection);
  exchange->connection = NULL;
  if (!push_callback(L, box, MW_HTTP_ON_OVER))
    return;
  mw_live_push(L, connection);
  if (lua_isnil(L, -1)) {
    lua_pop(L, 2);
    return;
  }
  mw_live_drop(L, connection);
  push_error(L, error);
  mw_call(L, 2, 0, 0);
}

static void on_refused(void *user, int error) {
  struct mw_http_box *box = user;
  if (!push_callback(box->main, box, MW_HTTP_ON_REFUSED))
    return;
  push_error(box->main, error);
  mw_call(box->main, 1, 0, 0);
}

static void on_empty(void *user) {
  struct mw_http_box *box = user;
  if (push_callback(box->main, box, MW_HTTP_ON_EMPTY))
    mw_call(box->main, 0, 0, 0);
}

static void on_closed(void *user) {
  struct mw_http_box *box = user;
  box->server = NULL;
  if (lua_checkstack(box->main, 8))
    mw_live_drop(box->main, box);
}

const struct mw_http_events mw_http_callbacks = {
    .on_request = on_request,
    .on_upgrade = on_upgrade,
    .on_data = on_data,
    .on_drain = on_drain,
    .on_over = on_over,
    .on_refused = on_refused,
    .on_empty = on_empty,
    .on_closed = on_closed,
};
