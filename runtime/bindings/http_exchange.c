#include "bindings/http_exchange.h"

#include <lauxlib.h>
#include <string.h>
#include <uv.h>

#include "bindings/http_headers.h"
#include "bindings/lua_result.h"
#include "http/connection.h"
#include "http/header_block.h"

#define EXCHANGE_TYPE "mw.core.http.exchange"

static char class_key; /* of the metatable, which by its name would be slow */

void mw_http_exchange_push(lua_State *L, struct mw_http_connection *connection,
                           const struct mw_http_head *head, const char *bytes,
                           size_t size, struct mw_http_exchange **exchange) {
  struct mw_http_exchange *made = lua_newuserdatauv(L, sizeof *made + size, 1);
  *made = (struct mw_http_exchange){
      .connection = connection,
      .method_length = head->method.length,
      .target_offset = (size_t)(head->target.at - bytes),
      .target_length = head->target.length,
      .size = size,
      .minor = head->minor,
  };
  memcpy(made->head, bytes, size);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &class_key);
  lua_setmetatable(L, -2);
  *exchange = made;
}

/* The metatable is the upvalue of every method. */
static struct mw_http_exchange *check(lua_State *L) {
  if (!lua_getmetatable(L, 1) || !lua_rawequal(L, -1, lua_upvalueindex(1)))
    luaL_typeerror(L, 1, EXCHANGE_TYPE);
  lua_pop(L, 1);
  return lua_touserdata(L, 1);
}

static struct mw_http_span check_span(lua_State *L, int index) {
  struct mw_http_span span;
  span.at = luaL_checklstring(L, index, &span.length);
  return span;
}

static struct mw_http_span opt_span(lua_State *L, int index) {
  struct mw_http_span span;
  span.at = luaL_optlstring(L, index, "", &span.length);
  return span;
}

/* the request */

static struct mw_http_span head_of(const struct mw_http_exchange *exchange) {
  return (struct mw_http_span){exchange->head, exchange->size};
}

static int exchange_method(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  lua_pushlstring(L, exchange->head, exchange->method_length);
  return 1;
}

static int exchange_target(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  lua_pushlstring(L, exchange->head + exchange->target_offset,
                  exchange->target_length);
  return 1;
}

/* version() -> "1.1" */
static int exchange_version(lua_State *L) {
  lua_pushstring(L, check(L)->minor ? "1.1" : "1.0");
  return 1;
}

/* headers() -> table */
static int exchange_headers(lua_State *L) {
  mw_push_http_headers(L, head_of(check(L)));
  return 1;
}

/* header(name) -> text | nil */
static int exchange_header(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  mw_push_http_header(L, head_of(exchange), check_span(L, 2));
  return 1;
}

/* raw_headers() -> list */
static int exchange_raw_headers(lua_State *L) {
  mw_push_http_raw_headers(L, head_of(check(L)));
  return 1;
}

/* want(boolean) */
static int exchange_want(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  if (exchange->connection)
    mw_http_exchange_want(exchange->connection, lua_toboolean(L, 2));
  return 0;
}

/* body_is_over() -> boolean: whether nothing of it is to come */
static int exchange_body_is_over(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  lua_pushboolean(L, !exchange->connection ||
                         mw_http_exchange_body_is_over(exchange->connection));
  return 1;
}

/* fileno() -> fd | nil */
static int exchange_fileno(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  if (!exchange->connection)
    return 0;
  lua_pushinteger(L, mw_http_exchange_fd(exchange->connection));
  return 1;
}

/* the headers of the response */

/* The block; NULL where nothing can be changed any more. */
static struct mw_buffer *open_headers(const struct mw_http_exchange *exchange) {
  struct mw_http_connection *connection = exchange->connection;
  if (!connection || mw_http_exchange_has_begun(connection))
    return NULL;
  return mw_http_exchange_head(connection);
}

static bool is_length(struct mw_http_span value) {
  for (size_t i = 0; i < value.length; i++)
    if (value.at[i] < '0' || value.at[i] > '9')
      return false;
  return value.length > 0 && value.length < 19;
}

static bool names_length(struct mw_http_span name) {
  static const char length[] = "content-length";
  return mw_http_same_name(name.at, name.length, length, sizeof length - 1);
}

static const char *problem_of(struct mw_http_span name,
                              struct mw_http_span value) {
  if (!mw_http_is_token(name.at, name.length))
    return "name";
  if (!mw_http_is_value(value.at, value.length) ||
      (names_length(name) && !is_length(value)))
    return "value";
  return NULL;
}

/* [self, name, value] -> nil | "name" | "value" (which can't be) | "sent" |
   "type" (no strings) */
static int put_header(lua_State *L, bool replaces) {
  struct mw_http_exchange *exchange = check(L);
  if (lua_type(L, 2) != LUA_TSTRING || lua_type(L, 3) != LUA_TSTRING) {
    lua_pushliteral(L, "type");
    return 1;
  }
  struct mw_http_span name = check_span(L, 2), value = check_span(L, 3);
  const char *problem = problem_of(name, value);
  struct mw_buffer *headers = open_headers(exchange);
  if (problem || !headers) {
    lua_pushstring(L, problem ? problem : "sent");
    return 1;
  }
  if (replaces || names_length(name))
    mw_http_header_remove(headers, name);
  if (!mw_http_header_add(headers, name, value))
    return luaL_error(L, "not enough memory");
  return 0;
}

static int exchange_set_header(lua_State *L) {
  return put_header(L, true);
}

static int exchange_add_header(lua_State *L) {
  return put_header(L, false);
}

/* remove_header(name) -> whether it could */
static int exchange_remove_header(lua_State *L) {
  struct mw_buffer *headers = open_headers(check(L));
  if (headers)
    mw_http_header_remove(headers, check_span(L, 2));
  lua_pushboolean(L, headers != NULL);
  return 1;
}

static const struct mw_buffer *all_headers(lua_State *L) {
  static const struct mw_buffer none = {.bytes = NULL};
  struct mw_http_exchange *exchange = check(L);
  return exchange->connection ? mw_http_exchange_head(exchange->connection)
                              : &none;
}

/* get_header(name) -> values... */
static int exchange_get_header(lua_State *L) {
  const struct mw_buffer *headers = all_headers(L);
  struct mw_http_span name = check_span(L, 2), value;
  size_t offset = 0;
  int count = 0;
  while (mw_http_header_find(headers, name, &offset, &value)) {
    luaL_checkstack(L, 2, NULL);
    lua_pushlstring(L, value.at, value.length);
    count++;
  }
  return count;
}

/* header_list() -> {name, value, ...} */
static int exchange_header_list(lua_State *L) {
  const struct mw_buffer *headers = all_headers(L);
  struct mw_http_span name, value;
  size_t offset = 0;
  lua_Integer count = 0;
  lua_newtable(L);
  while (mw_http_header_next(headers, &offset, &name, &value)) {
    lua_pushlstring(L, name.at, name.length);
    lua_rawseti(L, -2, ++count);
    lua_pushlstring(L, value.at, value.length);
    lua_rawseti(L, -2, ++count);
  }
  return 1;
}

/* the response */

static int exchange_has_begun(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  lua_pushboolean(L, !exchange->connection ||
                         mw_http_exchange_has_begun(exchange->connection));
  return 1;
}

/* respond(status, reason | nil, body | nil) -> true | nil, errname */
static int exchange_respond(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  int status = (int)luaL_checkinteger(L, 2);
  struct mw_http_span reason = opt_span(L, 3), body = opt_span(L, 4);
  if (!exchange->connection)
    return mw_push_failure(L, UV_EPIPE);
  return mw_push_result(L,
                        mw_http_exchange_respond(exchange->connection, status,
                                                 reason, body.at, body.length));
}

/* respond_file(status, reason | nil, fd, offset, length) -> true | nil,
   errname: the descriptor is the response's from then on, unless this fails. */
static int exchange_respond_file(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  int status = (int)luaL_checkinteger(L, 2);
  struct mw_http_span reason = opt_span(L, 3);
  int fd = (int)luaL_checkinteger(L, 4);
  lua_Integer offset = luaL_checkinteger(L, 5);
  lua_Integer length = luaL_checkinteger(L, 6);
  luaL_argcheck(L, offset >= 0, 5, "negative");
  luaL_argcheck(L, length >= 0, 6, "negative");
  if (!exchange->connection)
    return mw_push_failure(L, UV_EPIPE);
  return mw_push_result(
      L, mw_http_exchange_respond_file(exchange->connection, status, reason, fd,
                                       (uint64_t)offset, (uint64_t)length));
}

/* begin(status, reason | nil) -> true | nil, errname */
static int exchange_begin(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  int status = (int)luaL_checkinteger(L, 2);
  struct mw_http_span reason = opt_span(L, 3);
  if (!exchange->connection)
    return mw_push_failure(L, UV_EPIPE);
  return mw_push_result(
      L, mw_http_exchange_begin(exchange->connection, status, reason));
}

/* write(bytes) -> whether more may come now | nil, errname */
static int exchange_write(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  struct mw_http_span bytes = check_span(L, 2);
  if (!exchange->connection)
    return mw_push_failure(L, UV_EPIPE);
  int enough =
      mw_http_exchange_write(exchange->connection, bytes.at, bytes.length);
  if (enough < 0)
    return mw_push_failure(L, enough);
  lua_pushboolean(L, !enough);
  return 1;
}

/* finish() -> true | nil, errname */
static int exchange_finish(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  if (!exchange->connection)
    return mw_push_failure(L, UV_EPIPE);
  return mw_push_result(L, mw_http_exchange_finish(exchange->connection));
}

/* cut(): ends the connection, so that the peer sees that something is missing
 */
static int exchange_cut(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  if (exchange->connection)
    mw_http_exchange_cut(exchange->connection);
  return 0;
}

/* give_away() -> fd, unread, unsent: in on_upgrade only */
static int exchange_give_away(lua_State *L) {
  struct mw_http_exchange *exchange = check(L);
  struct mw_http_span unread, unsent;
  if (!exchange->connection)
    return mw_push_failure(L, UV_EPIPE);
  mw_http_exchange_rest(exchange->connection, &unread, &unsent);
  lua_pushlstring(L, unread.at ? unread.at : "", unread.length);
  lua_pushlstring(L, unsent.length ? unsent.at : "", unsent.length);
  int fd = mw_http_connection_give_away(exchange->connection);
  exchange->connection = NULL;
  lua_pushinteger(L, fd);
  lua_insert(L, -3);
  return 3;
}

/* The object that stands for the exchange in Lua. */
static int exchange_set_owner(lua_State *L) {
  check(L);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, 1);
  return 0;
}

static int exchange_owner(lua_State *L) {
  check(L);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

void mw_http_exchange_open_class(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"method", exchange_method},
      {"target", exchange_target},
      {"version", exchange_version},
      {"headers", exchange_headers},
      {"header", exchange_header},
      {"raw_headers", exchange_raw_headers},
      {"want", exchange_want},
      {"body_is_over", exchange_body_is_over},
      {"fileno", exchange_fileno},
      {"set_header", exchange_set_header},
      {"add_header", exchange_add_header},
      {"remove_header", exchange_remove_header},
      {"get_header", exchange_get_header},
      {"header_list", exchange_header_list},
      {"has_begun", exchange_has_begun},
      {"respond", exchange_respond},
      {"respond_file", exchange_respond_file},
      {"begin", exchange_begin},
      {"write", exchange_write},
      {"finish", exchange_finish},
      {"cut", exchange_cut},
      {"give_away", exchange_give_away},
      {"set_owner", exchange_set_owner},
      {"owner", exchange_owner},
      {NULL, NULL},
  };
  luaL_newmetatable(L, EXCHANGE_TYPE);
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &class_key);
  luaL_newlibtable(L, methods);
  lua_pushvalue(L, -2);
  luaL_setfuncs(L, methods, 1);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
