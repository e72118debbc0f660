/*
 * What the engine tells of a server and its exchanges, as calls of Lua
 * functions. A server is a box in the live table, by its address, until it is
 * closed; so are exchanges that are not over, by that of their connection. Used
 * by lua_http; the main thread.
 */
#ifndef MW_BINDINGS_HTTP_CALLBACKS_H
#define MW_BINDINGS_HTTP_CALLBACKS_H

#include <lua.h>

#include "http/server.h"

/* The callbacks of a server, as user values of its box, in this order; the
   first two inside of who delivers. */
enum {
  MW_HTTP_ON_REQUEST = 1, /* (exchange) */
  MW_HTTP_ON_UPGRADE,     /* (exchange): it is taken if it is given away */
  MW_HTTP_ON_DATA,        /* (exchange, piece): nil at the end of the body */
  MW_HTTP_ON_DRAIN,       /* (exchange): more may be written */
  MW_HTTP_ON_OVER,        /* (exchange, errname): nil where all went well; not
                             for what was over when on_request returned */
  MW_HTTP_ON_REFUSED,     /* (errname): a connection could not be accepted */
  MW_HTTP_ON_EMPTY,       /* (): after drain(), no connection is left */
  MW_HTTP_CALLBACK_COUNT = MW_HTTP_ON_EMPTY
};

struct mw_http_box {
  struct mw_http_server *server; /* NULL once it is closed */
  lua_State *main;
};

/** For mw_http_server_open(), with the box as `user`. */
extern const struct mw_http_events mw_http_callbacks;

/** [callback] -> [function]: for MW_HTTP_ON_REQUEST or MW_HTTP_ON_UPGRADE. */
void mw_http_push_deliverer(lua_State *L, int which);

#endif
