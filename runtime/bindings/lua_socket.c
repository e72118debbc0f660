#include "bindings/lua_socket.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>

#include "bindings/lua_result.h"
#include "net/socket.h"

static int push_fd(lua_State *L, int fd) {
  if (fd < 0)
    return mw_push_failure(L, fd);
  lua_pushinteger(L, fd);
  return 1;
}

static int check_int(lua_State *L, int index, int low, int high) {
  lua_Integer value = luaL_checkinteger(L, index);
  luaL_argcheck(L, value >= low && value <= high, index, "out of range");
  return (int)value;
}

/* The field of the options at `index`, which may be absent. */
static bool flag(lua_State *L, int index, const char *name) {
  bool value;
  if (lua_isnoneornil(L, index))
    return false;
  luaL_checktype(L, index, LUA_TTABLE);
  lua_getfield(L, index, name);
  value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* family(text) -> 4 | 6 | 0 */
static int socket_family(lua_State *L) {
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  lua_pushinteger(L, strlen(text) == len ? mw_socket_family(text) : 0);
  return 1;
}

/* bind("tcp" | "udp", address, port,
        {ipv6_only=, reuse_port=, reuse_address=}?) -> fd | nil, errname */
static int socket_bind(lua_State *L) {
  static const char *const types[] = {"tcp", "udp", NULL};
  struct mw_socket_options options = {
      .datagram = luaL_checkoption(L, 1, NULL, types) == 1,
      .ipv6_only = flag(L, 4, "ipv6_only"),
      .reuse_port = flag(L, 4, "reuse_port"),
      .reuse_address = flag(L, 4, "reuse_address"),
  };
  const char *address = luaL_checkstring(L, 2);
  int port = check_int(L, 3, 0, 65535);
  return push_fd(L, mw_socket_bind(address, port, &options));
}

/* bind_unix(path) -> fd | nil, errname */
static int socket_bind_unix(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  return push_fd(L, mw_socket_bind_unix(path, len));
}

/* connect_unix(path) -> fd | nil, errname */
static int socket_connect_unix(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  return push_fd(L, mw_socket_connect_unix(path, len));
}

/* listen(fd, backlog) -> true | nil, errname */
static int socket_listen(lua_State *L) {
  int fd = check_int(L, 1, 0, INT_MAX);
  int rc = mw_socket_listen(fd, check_int(L, 2, 0, INT_MAX));
  if (rc < 0)
    return mw_push_failure(L, rc);
  lua_pushboolean(L, true);
  return 1;
}

/* kind(fd) -> name, listening | nil, errname */
static int socket_kind(lua_State *L) {
  struct mw_socket_kind kind;
  int rc = mw_socket_kind(check_int(L, 1, 0, INT_MAX), &kind);
  if (rc < 0)
    return mw_push_failure(L, rc);
  lua_pushstring(L, kind.name);
  lua_pushboolean(L, kind.listening);
  return 2;
}

static void push_name(lua_State *L, const struct mw_socket_name *name) {
  if (name->family == 0) {
    lua_pushnil(L);
    return;
  }
  lua_createtable(L, 0, 3);
  lua_pushstring(L, name->address);
  lua_setfield(L, -2, "ip");
  lua_pushstring(L, name->family == 4 ? "inet" : "inet6");
  lua_setfield(L, -2, "family");
  lua_pushinteger(L, name->port);
  lua_setfield(L, -2, "port");
}

/* names(fd) -> ours, theirs: as luv tells them; nil for what is no TCP */
static int socket_names(lua_State *L) {
  struct mw_socket_name here, there;
  mw_socket_names(check_int(L, 1, 0, INT_MAX), &here, &there);
  push_name(L, &here);
  push_name(L, &there);
  return 2;
}

/* peer(fd) -> pid, uid | nil, errname: who is at the other end of a Unix socket
 */
static int socket_peer(lua_State *L) {
  struct mw_socket_peer peer;
  int rc = mw_socket_peer(check_int(L, 1, 0, INT_MAX), &peer);
  if (rc < 0)
    return mw_push_failure(L, rc);
  lua_pushinteger(L, peer.pid);
  lua_pushinteger(L, peer.uid);
  return 2;
}

int luaopen_mw_core_socket(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"family", socket_family},
      {"bind", socket_bind},
      {"bind_unix", socket_bind_unix},
      {"connect_unix", socket_connect_unix},
      {"listen", socket_listen},
      {"kind", socket_kind},
      {"names", socket_names},
      {"peer", socket_peer},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
