/*
 * The Lua object for one request and its response: a copy of the request's
 * head, and the connection while the exchange lasts. Made by lua_http, which
 * keeps it alive as long as the connection knows it.
 */
#ifndef MW_BINDINGS_HTTP_EXCHANGE_H
#define MW_BINDINGS_HTTP_EXCHANGE_H

#include <lua.h>

#include "http/exchange.h"

struct mw_http_exchange {
  struct mw_http_connection *connection; /* NULL once it is over */
  size_t method_length, target_offset, target_length, size;
  unsigned minor;
  char head[]; /* `size` bytes */
};

/** Makes the class. Once for each state. */
void mw_http_exchange_open_class(lua_State *L);

/** Pushes a new one, with one user value, nil. */
void mw_http_exchange_push(lua_State *L, struct mw_http_connection *connection,
                           const struct mw_http_head *head, const char *bytes,
                           size_t size, struct mw_http_exchange **exchange);

#endif
