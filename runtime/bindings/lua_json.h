/*
 * mw.core.json: encode, decode, array_mark, null. Only mw.json requires it; C
 * code that has JSON to read or write calls json_encode.h and json_decode.h.
 */
#ifndef MW_BINDINGS_LUA_JSON_H
#define MW_BINDINGS_LUA_JSON_H

#include <lua.h>

/** Opens mw.core.json. */
int luaopen_mw_core_json(lua_State *L);

#endif
