/*
 * mw.core.loop: the event loop as Lua modules see it, below luv: one turn,
 * the tick queue, the hooks, the task that runs. Also the two functions of
 * luv that a host with handles of its own has to replace.
 */
#ifndef MW_BINDINGS_LUA_LOOP_H
#define MW_BINDINGS_LUA_LOOP_H

#include <lua.h>
#include <stdbool.h>
#include <uv.h>

/** Opens mw.core.loop. */
int luaopen_mw_core_loop(lua_State *L);

/**
 * Runs the tick queue, then the loop in `mode`, with SIGINT as it is outside
 * Lua. Returns whether the loop is still alive.
 */
bool mw_loop_turn(lua_State *L, uv_run_mode mode);

/**
 * Opens luv on the host's loop, with mw_call() as its callback routine; its
 * `run` turns the tick queue too, and its `walk` passes by the handles of our
 * engine, which are known by having no `data`.
 */
int mw_open_luv(lua_State *L);

/** Closes every luv handle that is not closing yet. */
void mw_close_luv_handles(lua_State *L);

#endif
