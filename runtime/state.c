#include "state.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "bindings/lua_exit.h"
#include "bindings/modules.h"
#include "embed.h"
#include "require.h"
#include "warnings.h"

#define COLLECTED_FROM_KIB 640

static void *resize(void *pool, void *block, size_t size, size_t wanted) {
  return mw_pool_resize(pool, block, size, wanted);
}

/* An error that nobody catches: to return is to abort. */
static int panic(lua_State *L) {
  const char *message = lua_tostring(L, -1);
  lua_writestringerror("PANIC: unprotected error in call to Lua API (%s)\n",
                       message ? message : "error object is not a string");
  return 0;
}

lua_State *mw_state_new(struct mw_pool *pool) {
  lua_State *L = lua_newstate(resize, pool);
  if (!L)
    return NULL;
  lua_atpanic(L, panic);
  mw_warnings_open(L);
  return L;
}

void mw_state_settle(lua_State *L) {
  void *pool;
  lua_getallocf(L, &pool);
  mw_pool_settle(pool);
}

/* What modules leave when they are loaded is hardly garbage: a step backward
   puts the first collection off until they are all there. */
static void set_collector(lua_State *L) {
  lua_gc(L, LUA_GCGEN, 0, 0);
  lua_gc(L, LUA_GCSTEP, -COLLECTED_FROM_KIB);
}

/* The source tree to read instead of the binary; NULL where there is none. */
static const char *source_tree(void) {
  const char *directory = getenv("MWRUN_LUA_DIR");
  return directory && *directory ? directory : NULL;
}

void mw_state_open(lua_State *L, bool ignore_environment) {
  if (ignore_environment) {
    lua_pushboolean(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
  }
  luaL_openlibs(L);
  mw_preload_modules(L);
  mw_embed_open(L, ignore_environment ? NULL : source_tree());
  mw_require_open(L);
  mw_replace_os_exit(L);
  set_collector(L);
}
