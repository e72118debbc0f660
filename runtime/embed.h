/*
 * The Lua library inside the binary: a searcher for `mw` and `mw.*`, right
 * after package.preload, that finds what the build has compiled and put in.
 * MWRUN_LUA_DIR makes it read a source tree instead.
 */
#ifndef MW_EMBED_H
#define MW_EMBED_H

#include <lua.h>

/** Adds the searcher; `directory`, if not NULL, stands for the binary. */
void mw_embed_open(lua_State *L, const char *directory);

#endif
