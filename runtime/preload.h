/*
 * The warm process behind fork's option `preload`: a Lua state without a loop,
 * in which modules are loaded once, and whose copies are the workers. Runs in
 * a protected call of the host.
 */
#ifndef MW_PRELOAD_H
#define MW_PRELOAD_H

#include <lua.h>
#include <stdbool.h>

#include "process/fork_server.h"

/**
 * Opens the state, loads the modules that the command line names, and serves
 * until the master has gone: `mwrun [-E] -- module... room`. The last argument
 * means nothing: it makes room for the titles of workers. Returns false at the
 * end of the server, true in each worker.
 */
bool mw_preload_run(lua_State *L, struct mw_fork_server *server, char **argv);

/** Gives the state of a new worker what is to be its own. */
void mw_preload_become_worker(lua_State *L);

#endif
