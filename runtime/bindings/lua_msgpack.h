/*
 * mw.core.msgpack: encode, decode. Only mw.msgpack requires it; C code that
 * has messages to read or write calls msgpack_encode.h and msgpack_decode.h.
 */
#ifndef MW_BINDINGS_LUA_MSGPACK_H
#define MW_BINDINGS_LUA_MSGPACK_H

#include <lua.h>

/** Opens mw.core.msgpack. */
int luaopen_mw_core_msgpack(lua_State *L);

#endif
