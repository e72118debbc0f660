/*
 * Lua finds a number in a table by a hash that has no secret in it, so a
 * message can hold keys that all meet in one chain, and building their table
 * would take quadratic time. This counts the steps along the chains as Lua 5.4
 * would take them. Called by decoders for large maps of foreign keys; lives
 * as long as the userdata that it pushes.
 */
#ifndef MW_BINDINGS_KEY_LOAD_H
#define MW_BINDINGS_KEY_LOAD_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Tables with no more keys than these need no counting. */
#define MW_KEY_LOAD_FREE 512

struct mw_key_load {
  uint32_t *chains; /* the length of each, in the userdata */
  size_t size;      /* of the table's hash part, a power of two */
  size_t steps;     /* that are still granted */
};

/**
 * Starts counting for a table made for `count` keys, more than
 * MW_KEY_LOAD_FREE. Pushes a userdata; raises where Lua has no memory.
 */
void mw_key_load_start(lua_State *L, struct mw_key_load *load, size_t count);

/**
 * Counts the key at `index`; false where the keys so far take more steps than
 * any keys that were not chosen for it.
 */
bool mw_key_load_add(lua_State *L, struct mw_key_load *load, int index);

#endif
