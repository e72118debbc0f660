/*
 * mw.core.fork_server: the master's side of fork servers, below the Lua module
 * fork_server, the only one that requires it. Owns nothing: sockets are numbers
 * that the Lua module closes. Workers are started by mw.core.process.
 */
#ifndef MW_BINDINGS_LUA_FORK_SERVER_H
#define MW_BINDINGS_LUA_FORK_SERVER_H

#include <lua.h>

/** Opens mw.core.fork_server. */
int luaopen_mw_core_fork_server(lua_State *L);

#endif
