/*
 * The way out of the process from inside Lua: `os.exit`, `process.exit` and
 * errors that end it. Runs the exit hook: handlers, then flushing. The
 * host calls it too, at the natural end.
 */
#ifndef MW_BINDINGS_LUA_EXIT_H
#define MW_BINDINGS_LUA_EXIT_H

#include <limits.h>
#include <lua.h>
#include <stdbool.h>

/* A status that the program has not chosen: the one whose eight bits are those
   of success, and that nobody would write. */
#define MW_NATURAL_END INT_MIN

/** Runs the exit hook; returns the status to end with. */
int mw_run_exit_hook(lua_State *L, int status);

/**
 * Ends the process: exit hook, the state where `close_state`, exit(3).
 * Follows os.exit of the Lua manual, section 6.9. Does not return.
 */
_Noreturn void mw_exit(lua_State *L, int status, bool close_state);

/** Replaces os.exit, so that it takes the way out too. */
void mw_replace_os_exit(lua_State *L);

#endif
