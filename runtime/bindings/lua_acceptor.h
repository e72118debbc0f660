/*
 * mw.core.acceptor: accepting at a socket that other processes share, for a
 * server. Required by mw.cluster alone.
 */
#ifndef MW_BINDINGS_LUA_ACCEPTOR_H
#define MW_BINDINGS_LUA_ACCEPTOR_H

#include <lua.h>

/** Opens mw.core.acceptor. */
int luaopen_mw_core_acceptor(lua_State *L);

/** Closes all of the state, before its loop's last turn. */
void mw_acceptors_close(lua_State *L);

#endif
