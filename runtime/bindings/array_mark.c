#include "bindings/array_mark.h"

static const char registry_key;

void mw_array_mark_push(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key) == LUA_TTABLE)
    return;
  lua_pop(L, 1);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "mw.json.array");
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
}

bool mw_array_is_marked(lua_State *L, int index) {
  if (!lua_getmetatable(L, index))
    return false;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
  bool is_marked = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is_marked;
}
