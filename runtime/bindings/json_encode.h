/*
 * Lua values to JSON text, appended to a buffer that the caller owns. Tables
 * are read raw: no Lua code runs meanwhile, and nothing is allocated from
 * Lua unless the encoding fails. Called by lua_json.c, and by whoever sends
 * JSON; on the thread of its lua_State.
 */
#ifndef MW_BINDINGS_JSON_ENCODE_H
#define MW_BINDINGS_JSON_ENCODE_H

#include <lua.h>
#include <stdbool.h>

#include "base/buffer.h"

/** Arrays and objects nest as deep as this, in both directions. */
#define MW_JSON_DEPTH_MAX 1000

/**
 * Appends the text of the value at `index`. On failure the buffer has its old
 * length, and a sentence is pushed that names what cannot be encoded by its
 * path from `root`: "cannot encode message.user[3]: ...". Pushes nothing on
 * success. Raises only where Lua has no memory for its stack or the sentence.
 */
bool mw_json_encode(lua_State *L, int index, const char *root,
                    struct mw_buffer *out);

#endif
