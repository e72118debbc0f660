#include "bindings/lua_fd.h"

#include <lauxlib.h>
#include <limits.h>

#include "base/fd.h"
#include "bindings/lua_result.h"

#define MAX_READ (64 * 1024 * 1024)

static int push_outcome(lua_State *L, int code) {
  if (code < 0)
    return mw_push_failure(L, code);
  lua_pushboolean(L, 1);
  return 1;
}

static int check_fd(lua_State *L, int index) {
  lua_Integer fd = luaL_checkinteger(L, index);
  luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, index, "no descriptor");
  return (int)fd;
}

static int push_pair(lua_State *L, int code, const int fds[2]) {
  if (code < 0)
    return mw_push_failure(L, code);
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* pipe() -> read end, write end | nil, errname */
static int fd_pipe(lua_State *L) {
  int fds[2];
  int rc = mw_fd_pipe(fds);
  return push_pair(L, rc, fds);
}

/* socketpair() -> fd, fd | nil, errname */
static int fd_socketpair(lua_State *L) {
  int fds[2];
  int rc = mw_fd_socketpair(fds);
  return push_pair(L, rc, fds);
}

/* close(fd) -> true | nil, errname */
static int fd_close(lua_State *L) {
  return push_outcome(L, mw_fd_close(check_fd(L, 1)));
}

/* write_all(fd, data) -> true | nil, errname */
static int fd_write_all(lua_State *L) {
  int fd = check_fd(L, 1);
  size_t len;
  const char *data = luaL_checklstring(L, 2, &len);
  return push_outcome(L, mw_fd_write_all(fd, data, len));
}

static int push_number(lua_State *L, int number) {
  if (number < 0)
    return mw_push_failure(L, number);
  lua_pushinteger(L, number);
  return 1;
}

/* dup(fd) -> fd | nil, errname */
static int fd_dup(lua_State *L) {
  return push_number(L, mw_fd_dup(check_fd(L, 1)));
}

/* replace(fd, replaced) -> true | nil, errname */
static int fd_replace(lua_State *L) {
  return push_outcome(L, mw_fd_replace(check_fd(L, 1), check_fd(L, 2)));
}

/* lock(fd) -> true | nil, errname */
static int fd_lock(lua_State *L) {
  return push_outcome(L, mw_fd_lock(check_fd(L, 1)));
}

/* memory(name) -> fd of a file without a path | nil, errname */
static int fd_memory(lua_State *L) {
  return push_number(L, mw_fd_memory(luaL_checkstring(L, 1)));
}

/* access_mode(fd) -> 0 (read), 1 (write), 2 (both) | nil, errname */
static int fd_access_mode(lua_State *L) {
  return push_number(L, mw_fd_access_mode(check_fd(L, 1)));
}

/* claim(fd) -> true | nil, errname */
static int fd_claim(lua_State *L) {
  return push_outcome(L, mw_fd_claim(check_fd(L, 1)));
}

/* set_nonblocking(fd, flag) -> true | nil, errname */
static int fd_set_nonblocking(lua_State *L) {
  int fd = check_fd(L, 1);
  luaL_checktype(L, 2, LUA_TBOOLEAN);
  return push_outcome(L, mw_fd_set_nonblocking(fd, lua_toboolean(L, 2)));
}

/* at_end(fd) -> boolean | nil, errname */
static int fd_at_end(lua_State *L) {
  int rc = mw_fd_at_end(check_fd(L, 1));
  if (rc < 0)
    return mw_push_failure(L, rc);
  lua_pushboolean(L, rc);
  return 1;
}

/* watch(fd) -> fd | nil, errname */
static int fd_watch(lua_State *L) {
  return push_number(L, mw_fd_watch(check_fd(L, 1)));
}

/* kind(fd) -> name | nil, errname */
static int fd_kind(lua_State *L) {
  const char *kind;
  int rc = mw_fd_kind(check_fd(L, 1), &kind);
  if (rc < 0)
    return mw_push_failure(L, rc);
  lua_pushstring(L, kind);
  return 1;
}

/* read(fd, n) -> string, "" at the end of file | nil, errname */
static int fd_read(lua_State *L) {
  int fd = check_fd(L, 1);
  lua_Integer size = luaL_checkinteger(L, 2);
  luaL_Buffer buffer;
  char *data;
  int n;
  luaL_argcheck(L, size > 0 && size <= MAX_READ, 2, "out of range");
  data = luaL_buffinitsize(L, &buffer, (size_t)size);
  n = mw_fd_read(fd, data, (size_t)size);
  if (n < 0)
    return mw_push_failure(L, n);
  luaL_pushresultsize(&buffer, (size_t)n);
  return 1;
}

/* Reads {fd=, data=} on top of the stack; the list holds on to the data. */
static void check_item(lua_State *L, struct mw_fd_item *item) {
  luaL_checktype(L, -1, LUA_TTABLE);
  lua_pushliteral(L, "fd");
  lua_rawget(L, -2);
  item->fd = check_fd(L, -1);
  lua_pushliteral(L, "data");
  lua_rawget(L, -3);
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "bad field 'data' (string expected)");
  item->data = lua_tolstring(L, -1, &item->len);
  lua_pop(L, 2);
}

/* drain({{fd=, data=}, ...}, timeout_ms) -> {written, ...} | nil, errname */
static int fd_drain(lua_State *L) {
  lua_Integer timeout = luaL_checkinteger(L, 2);
  struct mw_fd_item *items;
  size_t count;
  int rc;
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_argcheck(L, timeout >= -1 && timeout <= INT_MAX, 2, "out of range");
  count = lua_rawlen(L, 1);
  items = lua_newuserdatauv(L, (count + 1) * sizeof *items, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, 1, (lua_Integer)i + 1);
    check_item(L, &items[i]);
    lua_pop(L, 1);
  }
  rc = mw_fd_drain(items, count, (int)timeout);
  if (rc < 0)
    return mw_push_failure(L, rc);
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    lua_pushinteger(L, (lua_Integer)items[i].written);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

int luaopen_mw_core_fd(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"claim", fd_claim},
      {"pipe", fd_pipe},
      {"socketpair", fd_socketpair},
      {"close", fd_close},
      {"write_all", fd_write_all},
      {"dup", fd_dup},
      {"replace", fd_replace},
      {"lock", fd_lock},
      {"memory", fd_memory},
      {"access_mode", fd_access_mode},
      {"set_nonblocking", fd_set_nonblocking},
      {"at_end", fd_at_end},
      {"watch", fd_watch},
      {"kind", fd_kind},
      {"read", fd_read},
      {"drain", fd_drain},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
