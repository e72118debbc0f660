#include "bindings/http_headers.h"

#include <lauxlib.h>
#include <string.h>

static void push_lower(lua_State *L, struct mw_http_span name) {
  luaL_Buffer buffer;
  char *bytes = luaL_buffinitsize(L, &buffer, name.length);
  for (size_t i = 0; i < name.length; i++) {
    char c = name.at[i];
    bytes[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
  }
  luaL_pushresultsize(&buffer, name.length);
}

/* Those of which a second one says nothing. */
static bool is_single(const char *name) {
  static const char *const names[] = {"age",
                                      "authorization",
                                      "content-length",
                                      "content-type",
                                      "etag",
                                      "expires",
                                      "from",
                                      "host",
                                      "if-modified-since",
                                      "if-unmodified-since",
                                      "last-modified",
                                      "location",
                                      "max-forwards",
                                      "proxy-authorization",
                                      "referer",
                                      "retry-after",
                                      "server",
                                      "user-agent"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(name, names[i]) == 0)
      return true;
  return false;
}

/* [table, name, value] -> []: for a name that is in the table already. */
static void join(lua_State *L, int table) {
  const char *name = lua_tostring(L, -2);
  lua_pushvalue(L, -2);
  lua_rawget(L, table);
  lua_insert(L, -2);
  lua_pushstring(L, strcmp(name, "cookie") == 0 ? "; " : ", ");
  lua_insert(L, -2);
  lua_concat(L, 3);
  lua_rawset(L, table);
}

/* [table, name, value] -> [] */
static void add_to_list(lua_State *L, int table) {
  lua_pushvalue(L, -2);
  if (lua_rawget(L, table) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -3);
    lua_pushvalue(L, -2);
    lua_rawset(L, table);
  }
  lua_insert(L, -2);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
  lua_pop(L, 2);
}

static bool has_field(lua_State *L, int table, int name) {
  lua_pushvalue(L, name);
  bool has = lua_rawget(L, table) != LUA_TNIL;
  lua_pop(L, 1);
  return has;
}

static void add(lua_State *L, int table) {
  const char *name = lua_tostring(L, -2);
  if (strcmp(name, "set-cookie") == 0)
    add_to_list(L, table);
  else if (!has_field(L, table, lua_gettop(L) - 1))
    lua_rawset(L, table);
  else if (is_single(name))
    lua_pop(L, 2);
  else
    join(L, table);
}

void mw_push_http_headers(lua_State *L, struct mw_http_span head) {
  struct mw_http_span name, value;
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 8);
  int table = lua_gettop(L);
  while (mw_http_next_header(&head, &name, &value)) {
    push_lower(L, name);
    lua_pushlstring(L, value.at, value.length);
    add(L, table);
  }
}

void mw_push_http_header(lua_State *L, struct mw_http_span head,
                         struct mw_http_span wanted) {
  struct mw_http_span name, value;
  while (mw_http_next_header(&head, &name, &value))
    if (mw_http_same_name(name.at, name.length, wanted.at, wanted.length)) {
      lua_pushlstring(L, value.at, value.length);
      return;
    }
  lua_pushnil(L);
}

void mw_push_http_raw_headers(lua_State *L, struct mw_http_span head) {
  struct mw_http_span name, value;
  lua_Integer count = 0;
  lua_newtable(L);
  while (mw_http_next_header(&head, &name, &value)) {
    lua_pushlstring(L, name.at, name.length);
    lua_rawseti(L, -2, ++count);
    lua_pushlstring(L, value.at, value.length);
    lua_rawseti(L, -2, ++count);
  }
}
