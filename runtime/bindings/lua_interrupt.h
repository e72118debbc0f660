/*
 * SIGINT and SIGPIPE of the host process. SIGINT in running Lua code raises
 * `interrupted!` there, as in `lua`; while the loop waits it ends the process.
 * SIGPIPE never kills; but Lua code that goes on printing to a broken stdout
 * gets an error, where `lua` would have been killed. Both are handlers, never
 * SIG_IGN, so that every child starts with the default action.
 */
#ifndef MW_BINDINGS_LUA_INTERRUPT_H
#define MW_BINDINGS_LUA_INTERRUPT_H

#include "bindings/lua_call.h"

/** Installs the handlers for this state. */
void mw_interrupt_install(struct mw_calls *calls);

/** Takes a signal back after libuv has let go of it, if it is one of ours. */
void mw_interrupt_restore(int signum);

#endif
