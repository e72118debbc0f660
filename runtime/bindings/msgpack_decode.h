/*
 * MessagePack to Lua values. Takes bytes from anyone: its time and its memory
 * are linear in them, its depth is bounded. Called by lua_msgpack.c, and by
 * whoever receives messages; on the thread of its lua_State.
 *
 * Strings and binary data become strings, nil becomes the light userdata NULL
 * (mw.null), an unsigned integer without place in 64 bits a float. Of equal
 * keys the last one counts. An empty array gets the array mark, other arrays
 * need none. Extension types are refused.
 */
#ifndef MW_BINDINGS_MSGPACK_DECODE_H
#define MW_BINDINGS_MSGPACK_DECODE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * Pushes the one value that `bytes` hold. Where they hold none, a sentence is
 * pushed that says what was found where instead of what, and `*offset` is the
 * place: byte 1 is the first one. Raises only where Lua has no memory.
 *
 * Finalizers may run meanwhile: `bytes` must be out of their reach.
 */
bool mw_msgpack_decode(lua_State *L, const char *bytes, size_t length,
                       size_t *offset);

#endif
