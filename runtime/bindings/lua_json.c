#include "bindings/lua_json.h"

#include "bindings/array_mark.h"
#include "bindings/json_decode.h"
#include "bindings/json_encode.h"
#include "bindings/lua_codec.h"

int luaopen_mw_core_json(lua_State *L) {
  static const struct mw_codec json = {mw_json_encode, mw_json_decode};
  mw_codec_push(L, &json);
  mw_array_mark_push(L);
  lua_setfield(L, -2, "array_mark");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}
