/*
 * The Lua object that reads responses, for the client: bytes in, head and
 * pieces of the body out. It owns the beginning of a head that is not all
 * there.
 */
#ifndef MW_BINDINGS_HTTP_READER_H
#define MW_BINDINGS_HTTP_READER_H

#include <lua.h>

/** Makes the class. Once for each state. */
void mw_http_reader_open_class(lua_State *L);

/** reader(max_header_size) -> reader */
int mw_http_reader_new(lua_State *L);

#endif
