#include "bindings/lua_json.h"

#include <lauxlib.h>

#include "bindings/json_decode.h"
#include "bindings/json_encode.h"

#define SCRATCH_KEPT (64 * 1024)

/* One for all calls of encode: no Lua code, hence no finalizer that encodes
   too, can run while it is in use. */
struct scratch {
  struct mw_json_buffer buffer;
  size_t kept; /* the capacity that stays for the next call */
};

/* The finalizers that run after this one may still encode. */
static int scratch_gc(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, 1);
  mw_json_buffer_free(&scratch->buffer);
  scratch->kept = 0;
  return 0;
}

static void push_scratch(lua_State *L) {
  struct scratch *scratch = lua_newuserdatauv(L, sizeof(*scratch), 0);
  *scratch = (struct scratch){.kept = SCRATCH_KEPT};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, scratch_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

/* encode(value) -> string, or nil and a sentence */
static int json_encode(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, lua_upvalueindex(1));
  lua_settop(L, 1);
  scratch->buffer.length = 0;
  bool encoded = mw_json_encode(L, 1, "value", &scratch->buffer);
  if (encoded)
    lua_pushlstring(L, scratch->buffer.bytes, scratch->buffer.length);
  if (scratch->buffer.capacity > scratch->kept)
    mw_json_buffer_free(&scratch->buffer);
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
  push_scratch(L);
  luaL_setfuncs(L, functions, 1);
  mw_json_mark_push(L);
  lua_setfield(L, -2, "array_mark");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
