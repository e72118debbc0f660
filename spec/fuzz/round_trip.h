/*
 * What the targets for decoders have in common: a Lua state, made by the first
 * input and kept for all others, and the check that a decoded value survives.
 */
#ifndef MW_FUZZ_ROUND_TRIP_H
#define MW_FUZZ_ROUND_TRIP_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct fuzz_codec {
  bool (*encode)(lua_State *L, int index, const char *root,
                 struct mw_buffer *out);
  bool (*decode)(lua_State *L, const char *bytes, size_t length,
                 size_t *offset);
};

/**
 * Decodes the input. A refusal must name a place in it. A value must encode,
 * and what was encoded must decode and encode to the same again; the pairs of
 * a table may change their order. Aborts where anything of this fails.
 */
void fuzz_round_trip(const struct fuzz_codec *codec, const uint8_t *data,
                     size_t size);

#endif
