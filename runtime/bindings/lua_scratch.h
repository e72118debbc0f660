/*
 * A buffer that a module keeps from call to call, so that most calls need no
 * memory. The userdata owns it and lives as long as the module's functions,
 * which have it as an upvalue; on the thread of its lua_State.
 */
#ifndef MW_BINDINGS_LUA_SCRATCH_H
#define MW_BINDINGS_LUA_SCRATCH_H

#include <lua.h>

#include "base/buffer.h"

/** Pushes a new one, a userdata. */
void mw_scratch_push(lua_State *L);

/**
 * The emptied buffer of the one at `index`. No Lua code, hence no finalizer
 * that takes it too, may run before mw_scratch_drop().
 */
struct mw_buffer *mw_scratch_take(lua_State *L, int index);

/** Ends its use: gives the memory back where a large value needed much. */
void mw_scratch_drop(lua_State *L, int index);

#endif
