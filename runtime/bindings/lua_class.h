/*
 * mw.core.class: what a class in Lua needs to be quick about. Owns nothing.
 */
#ifndef MW_BINDINGS_LUA_CLASS_H
#define MW_BINDINGS_LUA_CLASS_H

#include <lua.h>

/** Opens mw.core.class. */
int luaopen_mw_core_class(lua_State *L);

#endif
