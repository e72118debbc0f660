/*
 * mw.core.http: servers over the engine of http/, their exchanges, and the
 * reader of responses that the client uses. A server lives from open() to its
 * on_closed; until then the registry holds it.
 */
#ifndef MW_BINDINGS_LUA_HTTP_H
#define MW_BINDINGS_LUA_HTTP_H

#include <lua.h>

struct mw_http_server;

/** Opens mw.core.http. */
int luaopen_mw_core_http(lua_State *L);

/**
 * The engine's server of the userdata at an index, which mw.core.http has made;
 * NULL where it is closed. Raises for any other value.
 */
struct mw_http_server *mw_http_server_at(lua_State *L, int index);

/** Closes all servers, at the end of the process; nothing of Lua runs. */
void mw_http_servers_close(lua_State *L);

#endif
