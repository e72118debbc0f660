/*
 * mw.core.socket: sockets as plain descriptors, for net, dgram and the passing
 * of handles. Owns nothing: who gets a number closes it.
 */
#ifndef MW_BINDINGS_LUA_SOCKET_H
#define MW_BINDINGS_LUA_SOCKET_H

#include <lua.h>

/** Opens mw.core.socket. */
int luaopen_mw_core_socket(lua_State *L);

#endif
