/*
 * Servers in Lua, as those see them who bring connections: a server of
 * mw.core.http, which takes them without Lua, or a table of functions, room()
 * -> how many more, open() -> how many, take(fd). Live from
 * mw_server_sink_new() to mw_server_sink_release(). Used by lua_intake and
 * lua_acceptor.
 */
#ifndef MW_BINDINGS_SERVER_SINK_H
#define MW_BINDINGS_SERVER_SINK_H

#include <lua.h>
#include <stdbool.h>

#include "cluster/intake.h"

/* The `user` of its operations. */
struct mw_server_sink {
  lua_State *main;
  const struct mw_sink *sink;
  bool accepts; /* what it gets has just been accepted: there is no copy */
};

/** Makes one for the value at the index; raises for any other. */
struct mw_server_sink *mw_server_sink_new(lua_State *L, int index);

/** Whether it is one of mw.core.http. */
bool mw_server_sink_serves_http(const struct mw_server_sink *server);

/** Ends it; the `released` of its operations. */
void mw_server_sink_release(void *server);

#endif
