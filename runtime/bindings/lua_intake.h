/*
 * mw.core.intake: the worker's side of connections that a master passes on.
 * Required by mw.cluster alone.
 */
#ifndef MW_BINDINGS_LUA_INTAKE_H
#define MW_BINDINGS_LUA_INTAKE_H

#include <lua.h>

/** Opens mw.core.intake. */
int luaopen_mw_core_intake(lua_State *L);

/** Closes all of the state, before its loop's last turn. */
void mw_intakes_close(lua_State *L);

#endif
