/*
 * The Lua face that every codec has: `encode` and `decode` of a module, over
 * two functions in C. Used by lua_json and lua_msgpack when they open.
 */
#ifndef MW_BINDINGS_LUA_CODEC_H
#define MW_BINDINGS_LUA_CODEC_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

struct mw_codec {
  /* As mw_json_encode(): appends the value at `index`, or pushes a sentence. */
  bool (*encode)(lua_State *L, int index, const char *root,
                 struct mw_buffer *out);
  /* As mw_json_decode(): pushes the value, or a sentence and sets `offset`. */
  bool (*decode)(lua_State *L, const char *bytes, size_t length,
                 size_t *offset);
};

/** Pushes a new module with both functions; `codec` must outlive the state. */
void mw_codec_push(lua_State *L, const struct mw_codec *codec);

#endif
