/*
 * mw.core.process: child processes, below child_process and the cluster, the
 * only ones who require it. Owns one reaper per Lua state; children are boxes
 * that stay alive while their process runs.
 */
#ifndef MW_BINDINGS_LUA_PROCESS_H
#define MW_BINDINGS_LUA_PROCESS_H

#include <lua.h>

/** Opens mw.core.process. */
int luaopen_mw_core_process(lua_State *L);

/**
 * Lets go of all children and closes the reaper's handles, whose callbacks
 * still need a turn of the loop. Harmless where the module was never opened.
 */
void mw_process_close(lua_State *L);

#endif
