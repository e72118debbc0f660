#include "bindings/lua_msgpack.h"

#include "bindings/lua_codec.h"
#include "bindings/msgpack_decode.h"
#include "bindings/msgpack_encode.h"

int luaopen_mw_core_msgpack(lua_State *L) {
  static const struct mw_codec msgpack = {mw_msgpack_encode, mw_msgpack_decode};
  mw_codec_push(L, &msgpack);
  return 1;
}
