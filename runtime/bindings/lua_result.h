/*
 * How a binding returns what the engine says: its result, or nil and the name
 * of the error. Owns nothing.
 */
#ifndef MW_BINDINGS_LUA_RESULT_H
#define MW_BINDINGS_LUA_RESULT_H

#include <lua.h>

/** Pushes nil and the name of a negative code; returns 2. */
int mw_push_failure(lua_State *L, int code);

/** The same for an error; true for none. Returns how many it has pushed. */
int mw_push_result(lua_State *L, int error);

#endif
