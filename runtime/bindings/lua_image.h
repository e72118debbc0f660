/*
 * mw.core.image: this process gets another program. Used by the supervisor.
 */
#ifndef MW_BINDINGS_LUA_IMAGE_H
#define MW_BINDINGS_LUA_IMAGE_H

#include <lua.h>

int luaopen_mw_core_image(lua_State *L);

#endif
