/*
 * The read-eval-print loop of `lua` 5.4, with the event loop turning while it
 * waits for a line. Line editing and history come from the readline or
 * editline library of the system, where there is one.
 */
#ifndef MW_REPL_H
#define MW_REPL_H

#include <lua.h>

/** Reads, runs and prints until the end of input. */
void mw_repl_run(lua_State *L);

#endif
