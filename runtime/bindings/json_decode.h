/*
 * JSON text (RFC 8259, strictly) to Lua values. Takes bytes from anyone: its
 * time is linear in them, its depth bounded. Called by lua_json.c, and by
 * whoever receives JSON; on the thread of its lua_State.
 */
#ifndef MW_BINDINGS_JSON_DECODE_H
#define MW_BINDINGS_JSON_DECODE_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/**
 * Pushes the one value that `text` holds. Where it holds none, a sentence is
 * pushed that says what was found where instead of what, and `*offset` is the
 * place: byte 1 is the first one. Raises only where Lua has no memory.
 *
 * Finalizers may run meanwhile: `text` must be out of their reach.
 */
bool mw_json_decode(lua_State *L, const char *text, size_t length,
                    size_t *offset);

#endif
