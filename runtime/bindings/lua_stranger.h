/*
 * mw.core.stranger: processes that are no children of ours. Required by
 * mw.child_process and mw.supervisor.
 */
#ifndef MW_BINDINGS_LUA_STRANGER_H
#define MW_BINDINGS_LUA_STRANGER_H

#include <lua.h>

/** Opens mw.core.stranger. */
int luaopen_mw_core_stranger(lua_State *L);

/** Closes all of the state, before its loop's last turn. */
void mw_strangers_close(lua_State *L);

#endif
