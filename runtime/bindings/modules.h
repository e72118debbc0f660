/*
 * The C halves of the Lua library: module name, open function. They wait in
 * package.preload until something requires them.
 */
#ifndef MW_BINDINGS_MODULES_H
#define MW_BINDINGS_MODULES_H

#include <lua.h>

/** Puts all of them, and luv (as `luv` and `uv`), into package.preload. */
void mw_preload_modules(lua_State *L);

#endif
