/*
 * mw.core.error: what the system's error codes are in words and numbers.
 */
#ifndef MW_BINDINGS_LUA_ERROR_H
#define MW_BINDINGS_LUA_ERROR_H

#include <lua.h>

/** Opens mw.core.error. */
int luaopen_mw_core_error(lua_State *L);

#endif
