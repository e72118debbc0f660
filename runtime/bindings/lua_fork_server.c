#include "bindings/lua_fork_server.h"

#include <lauxlib.h>
#include <limits.h>

#include "bindings/lua_result.h"
#include "process/fork_client.h"

#define MOST_REASON 16384

/* pair() -> ours, the server's | nil, errname */
static int fork_server_pair(lua_State *L) {
  int fds[2];
  int rc = mw_fork_client_pair(fds);
  if (rc != 0)
    return mw_push_failure(L, rc);
  lua_pushinteger(L, fds[0]);
  lua_pushinteger(L, fds[1]);
  return 2;
}

/* wait(fd, ms) -> true | nil, errname, reason: until all is loaded. */
static int fork_server_wait(lua_State *L) {
  lua_Integer socket = luaL_checkinteger(L, 1);
  lua_Integer timeout = luaL_checkinteger(L, 2);
  luaL_argcheck(L, socket >= 0 && socket <= INT_MAX, 1, "no descriptor");
  luaL_argcheck(L, timeout >= 0 && timeout <= INT_MAX, 2, "out of range");
  char *reason = lua_newuserdatauv(L, MOST_REASON, 0);
  reason[0] = '\0';
  int rc = mw_fork_client_wait((int)socket, (int)timeout, reason, MOST_REASON);
  if (rc != 0) {
    mw_push_failure(L, rc);
    lua_pushstring(L, reason);
    return 3;
  }
  lua_pushboolean(L, true);
  return 1;
}

/* identity() -> text: what a child gets from its parent and no option says;
   a server that was started under another one is of no use. */
static int fork_server_identity(lua_State *L) {
  struct mw_fork_identity who = mw_fork_client_identity();
  lua_pushlstring(L, (const char *)&who, sizeof who);
  return 1;
}

int luaopen_mw_core_fork_server(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"identity", fork_server_identity},
      {"pair", fork_server_pair},
      {"wait", fork_server_wait},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
