/*
 * The mark of a table that is an array in messages even when it is empty: a
 * metatable, one for all of the state, that mw.json.array sets. Called by the
 * codecs, on the thread of their lua_State.
 */
#ifndef MW_BINDINGS_ARRAY_MARK_H
#define MW_BINDINGS_ARRAY_MARK_H

#include <lua.h>
#include <stdbool.h>

/** Pushes the mark. Raises where Lua has no memory. */
void mw_array_mark_push(lua_State *L);

/** Whether the table at `index` has it. Takes two stack slots, no memory. */
bool mw_array_is_marked(lua_State *L, int index);

#endif
