/*
 * The watchdog inside a worker: says where code is stuck that never returns to
 * the loop. It is asked by a signal from the master (a report of all stacks is
 * written to a descriptor), or by a timer of its own (the line is noted).
 *
 * Owns the descriptor, the timer and the handler of one signal; one per
 * process, on the loop's thread. Lives until the process ends.
 */
#ifndef MW_BINDINGS_LUA_WATCHDOG_H
#define MW_BINDINGS_LUA_WATCHDOG_H

#include <lua.h>

int luaopen_mw_core_watchdog(lua_State *L);

#endif
