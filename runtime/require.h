/*
 * `require "./x"` and `require "../x"`: found from the folder of the file
 * that asks (the current folder for code that came from no file), as Node
 * finds modules: x, x.lua, x.json, x/init.lua; kept by real path. Every other
 * name goes to the stock `require`.
 */
#ifndef MW_REQUIRE_H
#define MW_REQUIRE_H

#include <lua.h>

/** Puts the function in the place of the global `require`. */
void mw_require_open(lua_State *L);

#endif
