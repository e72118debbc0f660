/*
 * mw.core.dispatcher: the master's side of passing connections to workers.
 * Required by mw.cluster alone.
 */
#ifndef MW_BINDINGS_LUA_DISPATCHER_H
#define MW_BINDINGS_LUA_DISPATCHER_H

#include <lua.h>

/** Opens mw.core.dispatcher. */
int luaopen_mw_core_dispatcher(lua_State *L);

/** Closes all of the state, before its loop's last turn. */
void mw_dispatchers_close(lua_State *L);

#endif
