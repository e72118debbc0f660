#include "bindings/modules.h"

#include <lauxlib.h>

#include "bindings/lua_acceptor.h"
#include "bindings/lua_channel.h"
#include "bindings/lua_class.h"
#include "bindings/lua_dispatcher.h"
#include "bindings/lua_error.h"
#include "bindings/lua_fd.h"
#include "bindings/lua_fork_server.h"
#include "bindings/lua_http.h"
#include "bindings/lua_image.h"
#include "bindings/lua_intake.h"
#include "bindings/lua_json.h"
#include "bindings/lua_loop.h"
#include "bindings/lua_msgpack.h"
#include "bindings/lua_process.h"
#include "bindings/lua_socket.h"
#include "bindings/lua_stranger.h"
#include "bindings/lua_system.h"
#include "bindings/lua_watchdog.h"

/* One luv for both names, whichever is required first. */
static int open_luv_once(lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  const char *other = lua_tostring(L, 1)[0] == 'l' ? "uv" : "luv";
  return lua_getfield(L, -1, other) == LUA_TTABLE ? 1 : mw_open_luv(L);
}

void mw_preload_modules(lua_State *L) {
  static const luaL_Reg modules[] = {
      {"luv", open_luv_once},
      {"uv", open_luv_once},
      {"mw.core.acceptor", luaopen_mw_core_acceptor},
      {"mw.core.channel", luaopen_mw_core_channel},
      {"mw.core.class", luaopen_mw_core_class},
      {"mw.core.dispatcher", luaopen_mw_core_dispatcher},
      {"mw.core.error", luaopen_mw_core_error},
      {"mw.core.fd", luaopen_mw_core_fd},
      {"mw.core.fork_server", luaopen_mw_core_fork_server},
      {"mw.core.http", luaopen_mw_core_http},
      {"mw.core.image", luaopen_mw_core_image},
      {"mw.core.intake", luaopen_mw_core_intake},
      {"mw.core.json", luaopen_mw_core_json},
      {"mw.core.loop", luaopen_mw_core_loop},
      {"mw.core.msgpack", luaopen_mw_core_msgpack},
      {"mw.core.process", luaopen_mw_core_process},
      {"mw.core.socket", luaopen_mw_core_socket},
      {"mw.core.stranger", luaopen_mw_core_stranger},
      {"mw.core.system", luaopen_mw_core_system},
      {"mw.core.watchdog", luaopen_mw_core_watchdog},
      {NULL, NULL},
  };
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  luaL_setfuncs(L, modules, 0);
  lua_pop(L, 1);
}
