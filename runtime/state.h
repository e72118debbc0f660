/*
 * Builds the Lua state of the host: the standard libraries, what mwrun puts
 * into package.preload and package.searchers, os.exit and require.
 */
#ifndef MW_STATE_H
#define MW_STATE_H

#include <lua.h>
#include <stdbool.h>

/**
 * Opens everything. `ignore_environment` is the option -E: LUA_PATH,
 * LUA_CPATH and MWRUN_LUA_DIR count for nothing. Raises what Lua raises.
 */
void mw_state_open(lua_State *L, bool ignore_environment);

#endif
