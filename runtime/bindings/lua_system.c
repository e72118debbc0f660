#include "bindings/lua_system.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "bindings/lua_call.h"
#include "bindings/lua_interrupt.h"
#include "version.h"

/* umask([mask]) -> the mask before (umask(2)). */
static int system_umask(lua_State *L) {
  mode_t before;
  if (lua_isnoneornil(L, 1)) {
    before = umask(0);
    umask(before);
  } else {
    before = umask((mode_t)luaL_checkinteger(L, 1));
  }
  lua_pushinteger(L, before);
  return 1;
}

/* true, or nil and the name of the error */
static int push_outcome(lua_State *L, int result) {
  int code = -errno;
  if (result == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, uv_err_name(code));
  return 2;
}

/* setuid(id) (setuid(2)) */
static int system_setuid(lua_State *L) {
  return push_outcome(L, setuid((uid_t)luaL_checkinteger(L, 1)));
}

/* setgid(id) (setgid(2)) */
static int system_setgid(lua_State *L) {
  return push_outcome(L, setgid((gid_t)luaL_checkinteger(L, 1)));
}

static int system_abort(lua_State *L) {
  (void)L;
  abort();
}

/* pid() -> integer (getpid(2)) */
static int system_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* cwd() -> path | nil, errname (getcwd(3)) */
static int system_cwd(lua_State *L) {
  char path[PATH_MAX];
  if (getcwd(path, sizeof path) == NULL)
    return push_outcome(L, -1);
  lua_pushstring(L, path);
  return 1;
}

/* hrtime() -> integer nanoseconds (uv_hrtime) */
static int system_hrtime(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)uv_hrtime());
  return 1;
}

/* uptime() -> integer nanoseconds since the state was made */
static int system_uptime(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)(uv_hrtime() - mw_calls(L)->started));
  return 1;
}

/* flush_stdout() -> true | nil, errname. A failure is told here and nowhere
   else: it must not raise in the next line of Lua code too. */
static int system_flush_stdout(lua_State *L) {
  int result = fflush(stdout);
  int code = errno;
  clearerr(stdout);
  errno = code;
  return push_outcome(L, result);
}

/* restore_signal(number): after its last listener has gone. */
static int system_restore_signal(lua_State *L) {
  mw_interrupt_restore((int)luaL_checkinteger(L, 1));
  return 0;
}

/* hold_signal(number): it does not come any more. */
static int system_hold_signal(lua_State *L) {
  sigset_t set;
  sigemptyset(&set);
  if (sigaddset(&set, (int)luaL_checkinteger(L, 1)) == 0)
    pthread_sigmask(SIG_BLOCK, &set, NULL);
  return 0;
}

int luaopen_mw_core_system(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"abort", system_abort},
      {"cwd", system_cwd},
      {"flush_stdout", system_flush_stdout},
      {"hold_signal", system_hold_signal},
      {"hrtime", system_hrtime},
      {"pid", system_pid},
      {"restore_signal", system_restore_signal},
      {"setgid", system_setgid},
      {"setuid", system_setuid},
      {"umask", system_umask},
      {"uptime", system_uptime},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  lua_pushliteral(L, MWRUN_VERSION);
  lua_setfield(L, -2, "version");
  return 1;
}
