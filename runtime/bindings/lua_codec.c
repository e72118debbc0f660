#include "bindings/lua_codec.h"

#include <lauxlib.h>

#include "bindings/lua_scratch.h"

/* The upvalues of both functions. */
enum { SCRATCH = 1, CODEC = 2 };

static const struct mw_codec *codec_of(lua_State *L) {
  return lua_touserdata(L, lua_upvalueindex(CODEC));
}

/* encode(value) -> string, or nil and a sentence */
static int encode(lua_State *L) {
  int scratch = lua_upvalueindex(SCRATCH);
  struct mw_buffer *out = mw_scratch_take(L, scratch);
  lua_settop(L, 1);
  bool encoded = codec_of(L)->encode(L, 1, "value", out);
  if (encoded)
    lua_pushlstring(L, out->bytes, out->length);
  mw_scratch_drop(L, scratch);
  if (encoded)
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  return 2;
}

/* decode(bytes) -> value, or nil, a sentence and the offset */
static int decode(lua_State *L) {
  size_t length;
  size_t offset;
  luaL_checktype(L, 1, LUA_TSTRING);
  const char *bytes = lua_tolstring(L, 1, &length);
  lua_settop(L, 1);
  if (codec_of(L)->decode(L, bytes, length, &offset))
    return 1;
  lua_pushnil(L);
  lua_insert(L, -2);
  lua_pushinteger(L, (lua_Integer)offset);
  return 3;
}

void mw_codec_push(lua_State *L, const struct mw_codec *codec) {
  static const luaL_Reg functions[] = {
      {"encode", encode},
      {"decode", decode},
      {NULL, NULL},
  };
  luaL_newlibtable(L, functions);
  mw_scratch_push(L);
  lua_pushlightuserdata(L, (void *)codec);
  luaL_setfuncs(L, functions, CODEC);
}
