#include "bindings/lua_msgpack.h"

#include <lauxlib.h>

#include "bindings/lua_scratch.h"
#include "bindings/msgpack_decode.h"
#include "bindings/msgpack_encode.h"

/* encode(value) -> string, or nil and a sentence */
static int msgpack_encode(lua_State *L) {
  int scratch = lua_upvalueindex(1);
  struct mw_buffer *message = mw_scratch_take(L, scratch);
  lua_settop(L, 1);
  bool encoded = mw_msgpack_encode(L, 1, "value", message);
  if (encoded)
    lua_pushlstring(L, message->bytes, message->length);
  mw_scratch_drop(L, scratch);
  if (encoded)
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* decode(bytes) -> value, or nil, a sentence and the offset */
static int msgpack_decode(lua_State *L) {
  size_t length;
  size_t offset;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *bytes = lua_tolstring(L, 1, &length);
  lua_settop(L, 1);
  if (mw_msgpack_decode(L, bytes, length, &offset))
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushinteger(L, (lua_Integer)offset);
  return 3;
}

int luaopen_mw_core_msgpack(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"encode", msgpack_encode},
      {"decode", msgpack_decode},
      {NULL, NULL},
  };
  luaL_newlibtable(L, functions);
  mw_scratch_push(L);
  luaL_setfuncs(L, functions, 1);
  return 1;
}
