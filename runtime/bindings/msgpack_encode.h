/*
 * Lua values to MessagePack, appended to a buffer that the caller owns. Tables
 * are read raw: no Lua code runs meanwhile, and nothing is allocated from
 * Lua unless the encoding fails. Called by lua_msgpack.c, and by whoever sends
 * messages; on the thread of its lua_State.
 *
 * What has several forms gets its shortest, except that floats are always
 * doubles. A table with the keys 1..n is an array, an empty one a map unless
 * it has the array mark, any other one a map.
 */
#ifndef MW_BINDINGS_MSGPACK_ENCODE_H
#define MW_BINDINGS_MSGPACK_ENCODE_H

#include <lua.h>
#include <stdbool.h>

#include "base/buffer.h"

/** Arrays and maps nest as deep as this, in both directions. */
#define MW_MSGPACK_DEPTH_MAX 1000

/** One message has so many bytes at most, in both directions. */
#define MW_MSGPACK_SIZE_MAX (256 * 1024 * 1024)

/**
 * Appends the bytes of the value at `index`. On failure the buffer has its old
 * length, and a sentence is pushed that names what cannot be encoded by its
 * path from `root`: "cannot encode message.user[3]: ...". Pushes nothing on
 * success. Raises only where Lua has no memory for its stack or the sentence;
 * the buffer has its old length then too.
 */
bool mw_msgpack_encode(lua_State *L, int index, const char *root,
                       struct mw_buffer *out);

#endif
