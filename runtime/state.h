/*
 * Builds the Lua state of the host: its memory, the standard libraries, what
 * mwrun puts into package.preload and package.searchers, os.exit and require.
 */
#ifndef MW_STATE_H
#define MW_STATE_H

#include <lua.h>
#include <stdbool.h>

#include "base/pool.h"

/**
 * A new state, as luaL_newstate() makes one, but with its memory out of a pool,
 * which is the caller's and lives longer. NULL without memory.
 */
lua_State *mw_state_new(struct mw_pool *pool);

/**
 * Opens everything. `ignore_environment` is the option -E: LUA_PATH,
 * LUA_CPATH and MWRUN_LUA_DIR count for nothing. Raises what Lua raises.
 */
void mw_state_open(lua_State *L, bool ignore_environment);

/**
 * Leaves the memory of the state that is there alone, as mw_pool_settle() says:
 * copies of this process are to share it.
 */
void mw_state_settle(lua_State *L);

#endif
