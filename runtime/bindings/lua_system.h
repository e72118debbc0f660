/*
 * mw.core.system: what `mw.process` needs of the system and luv has not, or
 * not without raising.
 */
#ifndef MW_BINDINGS_LUA_SYSTEM_H
#define MW_BINDINGS_LUA_SYSTEM_H

#include <lua.h>

/** Opens mw.core.system. */
int luaopen_mw_core_system(lua_State *L);

#endif
