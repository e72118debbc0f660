#include "bindings/lua_exit.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "bindings/lua_call.h"

int mw_run_exit_hook(lua_State *L, int status) {
  struct mw_calls *calls = mw_calls(L);
  luaL_checkstack(L, 8, NULL);
  if (!mw_push_hook(L, MW_HOOK_EXIT))
    return status == MW_NATURAL_END ? EXIT_SUCCESS : status;
  if (status == MW_NATURAL_END)
    lua_pushnil(L);
  else
    lua_pushinteger(L, status);
  calls->depth++;
  int failed = mw_pcall(L, 1, 1);
  calls->depth--;
  if (failed) {
    calls->dying = false; /* else the error would go unseen */
    return mw_uncaught(L, "uncaught_exception") ? status : calls->status;
  }
  status = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return status;
}

_Noreturn void mw_exit(lua_State *L, int status, bool close_state) {
  status = mw_run_exit_hook(L, status);
  mw_calls(L)->dying = true;
  mw_calls(L)->status = status;
  if (close_state)
    lua_close(L);
  exit(status);
}

static int os_exit(lua_State *L) {
  int status;
  if (lua_isboolean(L, 1))
    status = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
  else
    status = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
  mw_exit(L, status, lua_toboolean(L, 2));
}

void mw_replace_os_exit(lua_State *L) {
  lua_getglobal(L, "os");
  lua_pushcfunction(L, os_exit);
  lua_setfield(L, -2, "exit");
  lua_pop(L, 1);
}
