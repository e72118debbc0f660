/*
 * The table of options for a child as the engine's struct. Owns nothing; used
 * by lua_process. The Lua modules have checked what a user gave, so a mistake
 * here is theirs, and raises.
 */
#ifndef MW_BINDINGS_PROCESS_OPTIONS_H
#define MW_BINDINGS_PROCESS_OPTIONS_H

#include <lua.h>

#include "process/spawn_options.h"

/**
 * Reads the table at `index` (absolute). Leaves on the stack, in an unknown
 * number of values, the memory that `options` points to: it is good until the
 * caller's stack is cut.
 */
void mw_check_spawn_options(lua_State *L, int index,
                            struct mw_spawn_options *options);

/**
 * Pushes the field `name` of the table at `index` without metamethods; returns
 * its type.
 */
int mw_raw_field(lua_State *L, int index, const char *name);

/**
 * The integer field `name`, which must lie in min..max; `otherwise` if it is
 * nil. Raises for anything else.
 */
lua_Integer mw_check_integer_field(lua_State *L, int index, const char *name,
                                   lua_Integer min, lua_Integer max,
                                   lua_Integer otherwise);

#endif
