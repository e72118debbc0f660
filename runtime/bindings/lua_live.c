#include "bindings/lua_live.h"

static char key;

void mw_live_open_type(lua_State *L, const char *type,
                       const luaL_Reg *methods) {
  if (luaL_newmetatable(L, type)) {
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
}

void mw_live_put(lua_State *L, const void *address) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lua_insert(L, -2);
  lua_rawsetp(L, -2, address);
  lua_pop(L, 1);
}

void mw_live_push(lua_State *L, const void *address) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TNIL)
    return;
  lua_rawgetp(L, -1, address);
  lua_remove(L, -2);
}

void mw_live_push_user_value(lua_State *L, const void *address, int number) {
  mw_live_push(L, address);
  lua_getiuservalue(L, -1, number);
  lua_remove(L, -2);
}

void mw_live_drop(lua_State *L, const void *address) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE) {
    lua_pushnil(L);
    lua_rawsetp(L, -2, address);
  }
  lua_pop(L, 1);
}

void mw_live_close_all(lua_State *L, const char *type,
                       void (*close)(void *object)) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      void *object = luaL_testudata(L, -1, type);
      if (object)
        close(object);
    }
  }
  lua_pop(L, 1);
}
