/*
 * The headers of a message as a Lua table. Owns nothing.
 */
#ifndef MW_BINDINGS_HTTP_HEADERS_H
#define MW_BINDINGS_HTTP_HEADERS_H

#include <lua.h>

#include "http/parser.h"

/**
 * Pushes the headers of a head that was parsed: names in lower case, values as
 * texts. What comes several times is joined as Node does it: by ", ", cookies
 * by "; ", the first alone for what can be there once, a list for set-cookie.
 */
void mw_push_http_headers(lua_State *L, struct mw_http_span head);

/**
 * Pushes the value of the first header of that name, in any case, or nil.
 */
void mw_push_http_header(lua_State *L, struct mw_http_span head,
                         struct mw_http_span name);

/** Pushes names and values by turns, as they came: a list. */
void mw_push_http_raw_headers(lua_State *L, struct mw_http_span head);

#endif
