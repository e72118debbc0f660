#include "bindings/lua_class.h"

#include <lauxlib.h>

enum { CLASS = 1, GETTERS }; /* the upvalues of `index` */

/* (object, key) -> the class's field, else what the getter of that name says */
static int index(lua_State *L) {
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(CLASS)) != LUA_TNIL)
    return 1;
  lua_pushvalue(L, 2);
  if (lua_rawget(L, lua_upvalueindex(GETTERS)) == LUA_TNIL)
    return 1;
  lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

/* indexer(class, getters) -> an __index for objects with fields that are worked
   out when they are asked for. */
static int class_indexer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushcclosure(L, index, 2);
  return 1;
}

int luaopen_mw_core_class(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, class_indexer);
  lua_setfield(L, -2, "indexer");
  return 1;
}
