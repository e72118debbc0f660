#include "bindings/lua_result.h"

#include "base/error_name.h"

int mw_push_failure(lua_State *L, int code) {
  char name[MW_ERROR_NAME_SIZE];
  lua_pushnil(L);
  lua_pushstring(L, mw_error_name(code, name));
  return 2;
}

int mw_push_result(lua_State *L, int error) {
  if (error)
    return mw_push_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}
