/*
 * mw.core.fd: descriptors as plain numbers, for child_process, ipc, net and
 * the flushing at exit. Owns nothing: who gets a number closes it.
 */
#ifndef MW_BINDINGS_LUA_FD_H
#define MW_BINDINGS_LUA_FD_H

#include <lua.h>

/** Opens mw.core.fd. */
int luaopen_mw_core_fd(lua_State *L);

#endif
