/*
 * Where in a Lua value an encoder is: "message.user[3]". The levels are the
 * encoder's; their keys are on the Lua stack as long as it writes them. Also
 * the text of a key that is a number, the same in a path and in JSON. Called
 * by the codecs' encoders, on the thread of their lua_State.
 */
#ifndef MW_BINDINGS_VALUE_PATH_H
#define MW_BINDINGS_VALUE_PATH_H

#include <lua.h>
#include <stddef.h>

/** A table that is being written, and how far. */
struct mw_value_level {
  const void *table;
  lua_Unsigned index; /* of an array's element */
  int key;            /* stack index of any other key; 0 in an array */
};

/**
 * Pushes the path from `root`. Any key is made readable and safe to print,
 * and a long path is cut in its middle. Raises where Lua has no memory.
 */
void mw_value_path_push(lua_State *L, const char *root,
                        const struct mw_value_level *levels, int count);

/**
 * Writes the number at stack index `key` to `out`, MW_JSON_NUMBER_SIZE bytes;
 * returns the length. The infinities are called as in JavaScript.
 */
size_t mw_value_key_write(lua_State *L, int key, char *out);

#endif
