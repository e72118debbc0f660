#include "bindings/lua_image.h"

#include <lauxlib.h>
#include <limits.h>

#include "bindings/lua_result.h"
#include "process/image.h"

/* hold_signals(boolean): whether they wait. */
static int image_hold_signals(lua_State *L) {
  luaL_checktype(L, 1, LUA_TBOOLEAN);
  return mw_push_result(L, mw_image_hold_signals(lua_toboolean(L, 1)));
}

/* The list's texts, which stay the list's, and NULL behind them. */
static char **push_texts(lua_State *L, int list) {
  luaL_checktype(L, list, LUA_TTABLE);
  size_t count = lua_rawlen(L, list);
  char **texts = lua_newuserdatauv(L, (count + 1) * sizeof *texts, 0);
  for (size_t i = 0; i < count; i++) {
    if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TSTRING)
      luaL_argerror(L, list, "strings expected");
    texts[i] = (char *)lua_tostring(L, -1);
    lua_pop(L, 1);
  }
  texts[count] = NULL;
  return texts;
}

static int *push_fds(lua_State *L, int list) {
  luaL_checktype(L, list, LUA_TTABLE);
  size_t count = lua_rawlen(L, list);
  int *fds = lua_newuserdatauv(L, (count + 1) * sizeof *fds, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    lua_Integer fd = luaL_checkinteger(L, -1);
    luaL_argcheck(L, fd >= 0 && fd <= INT_MAX, list, "no descriptor");
    fds[i] = (int)fd;
    lua_pop(L, 1);
  }
  return fds;
}

/* replace(file, argv, env, fds) -> nil, errname: returns where it fails only.
   Lists of strings, and of the descriptors that stay open. */
static int image_replace(lua_State *L) {
  const char *file = luaL_checkstring(L, 1);
  char **argv = push_texts(L, 2);
  char **env = push_texts(L, 3);
  const int *fds = push_fds(L, 4);
  return mw_push_result(
      L, mw_image_replace(file, argv, env, fds, lua_rawlen(L, 4)));
}

int luaopen_mw_core_image(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"hold_signals", image_hold_signals},
      {"replace", image_replace},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  return 1;
}
