#include "bindings/lua_json.h"

#include <lauxlib.h>

#include "bindings/array_mark.h"
#include "bindings/json_decode.h"
#include "bindings/json_encode.h"
#include "bindings/lua_scratch.h"

/* encode(value) -> string, or nil and a sentence */
static int json_encode(lua_State *L) {
  int scratch = lua_upvalueindex(1);
  struct mw_buffer *text = mw_scratch_take(L, scratch);
  lua_settop(L, 1);
  bool encoded = mw_json_encode(L, 1, "value", text);
  if (encoded)
    lua_pushlstring(L, text->bytes, text->length);
  mw_scratch_drop(L, scratch);
  if (encoded)
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* decode(text) -> value, or nil, a sentence and the offset */
static int json_decode(lua_State *L) {
  size_t length;
  size_t offset;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *text = lua_tolstring(L, 1, &length);
  lua_settop(L, 1);
  if (mw_json_decode(L, text, length, &offset))
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushinteger(L, (lua_Integer)offset);
  return 3;
}

int luaopen_mw_core_json(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"encode", json_encode},
      {"decode", json_decode},
      {NULL, NULL},
  };
  luaL_newlibtable(L, functions);
  mw_scratch_push(L);
  luaL_setfuncs(L, functions, 1);
  mw_array_mark_push(L);
  lua_setfield(L, -2, "array_mark");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
