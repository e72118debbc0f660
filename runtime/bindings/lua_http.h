/*
 * mw.core.http: servers over the engine of http/, their exchanges, and the
 * reader of responses that the client uses. A server lives from open() to its
 * on_closed; until then the registry holds it.
 */
#ifndef MW_BINDINGS_LUA_HTTP_H
#define MW_BINDINGS_LUA_HTTP_H

#include <lua.h>

/** Opens mw.core.http. */
int luaopen_mw_core_http(lua_State *L);

/** Closes all servers, at the end of the process; nothing of Lua runs. */
void mw_http_servers_close(lua_State *L);

#endif
