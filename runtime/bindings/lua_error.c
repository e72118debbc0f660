#include "bindings/lua_error.h"

#include <lauxlib.h>
#include <string.h>
#include <uv.h>

/* describe(code) -> text, number: of a libuv error name such as "ENOENT";
   nothing where there is no such name. */
static int describe(lua_State *L) {
  static const struct {
    const char *name, *text;
    int number;
  } errors[] = {
#define ROW(name, text) {#name, text, UV_##name},
      UV_ERRNO_MAP(ROW)
#undef ROW
  };
  const char *name = luaL_checkstring(L, 1);
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    if (strcmp(errors[i].name, name) != 0)
      continue;
    lua_pushstring(L, errors[i].text);
    lua_pushinteger(L, errors[i].number);
    return 2;
  }
  return 0;
}

int luaopen_mw_core_error(lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, describe);
  lua_setfield(L, -2, "describe");
  return 1;
}
