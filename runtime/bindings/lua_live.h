/*
 * The objects that C code may still call back for, by their address in C: what
 * is in here is not collected. A table in the registry, one for all types.
 */
#ifndef MW_BINDINGS_LUA_LIVE_H
#define MW_BINDINGS_LUA_LIVE_H

#include <lauxlib.h>

/** Makes the metatable of a type, with these methods; once. */
void mw_live_open_type(lua_State *L, const char *type, const luaL_Reg *methods);

/** Pops a value and keeps it under the address. */
void mw_live_put(lua_State *L, const void *address);

/** Pushes it; nil where there is none. Needs no memory. */
void mw_live_push(lua_State *L, const void *address);

/** Pushes a user value of it. */
void mw_live_push_user_value(lua_State *L, const void *address, int number);

/** Keeps it no more. Needs no memory, so it cannot raise. */
void mw_live_drop(lua_State *L, const void *address);

/** Calls `close` for each object of that type. */
void mw_live_close_all(lua_State *L, const char *type,
                       void (*close)(void *object));

#endif
