#include "bindings/process_options.h"

#include <lauxlib.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#include "process/environment.h"
#include "process/limits.h"

#define MAX_FDS 65536
#define MAX_ID 4294967294LL /* one less than "no change" */
#define TWO_TO_THE_64 18446744073709551616.0

/* single fields */

int mw_raw_field(lua_State *L, int index, const char *name) {
  lua_pushstring(L, name);
  return lua_rawget(L, index);
}

static int bad_field(lua_State *L, const char *name, const char *expected) {
  return luaL_error(L, "bad field '%s' (%s expected)", name, expected);
}

lua_Integer mw_check_integer_field(lua_State *L, int index, const char *name,
                                   lua_Integer min, lua_Integer max,
                                   lua_Integer otherwise) {
  lua_Integer value = otherwise;
  if (mw_raw_field(L, index, name) != LUA_TNIL) {
    int is_integer;
    value = lua_tointegerx(L, -1, &is_integer);
    if (!is_integer || lua_type(L, -1) != LUA_TNUMBER || value < min ||
        value > max)
      bad_field(L, name, "integer in range");
  }
  lua_pop(L, 1);
  return value;
}

static bool flag_field(lua_State *L, int index, const char *name) {
  bool value;
  mw_raw_field(L, index, name);
  value = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return value;
}

/* The string on top of the stack, which something else must hold on to. */
static const char *check_string(lua_State *L, const char *name) {
  size_t len;
  const char *text = NULL;
  if (lua_type(L, -1) == LUA_TSTRING)
    text = lua_tolstring(L, -1, &len);
  if (text == NULL || strlen(text) != len)
    bad_field(L, name, "string without NUL bytes");
  return text;
}

static const char *string_field(lua_State *L, int index, const char *name) {
  const char *text = NULL;
  if (mw_raw_field(L, index, name) != LUA_TNIL)
    text = check_string(L, name);
  lua_pop(L, 1);
  return text;
}

/* lists: each leaves the field and a userdata on the stack */

static bool push_list(lua_State *L, int index, const char *name) {
  int type = mw_raw_field(L, index, name);
  if (type == LUA_TNIL)
    return false;
  if (type != LUA_TTABLE)
    bad_field(L, name, "table");
  return true;
}

static char *const *string_list(lua_State *L, int index, const char *name) {
  size_t count;
  char **list;
  if (!push_list(L, index, name))
    return NULL;
  count = lua_rawlen(L, -1);
  list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 0);
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    list[i] = (char *)check_string(L, name);
    lua_pop(L, 1);
  }
  list[count] = NULL;
  return list;
}

/* An item of `fds`: a descriptor, or false. */
static int check_fd(lua_State *L) {
  int is_integer;
  lua_Integer fd;
  if (!lua_toboolean(L, -1))
    return MW_FD_IGNORE;
  fd = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || fd < 0 || fd > INT_MAX)
    bad_field(L, "fds", "descriptors");
  return (int)fd;
}

static void check_fds(lua_State *L, int index,
                      struct mw_spawn_options *options) {
  struct mw_spawn_fd *fds;
  bool has_blocking;
  int list, blocking;

  if (!push_list(L, index, "fds"))
    return;
  list = lua_gettop(L);
  has_blocking = push_list(L, index, "blocking");
  blocking = lua_gettop(L);
  options->fd_count =
      (size_t)mw_check_integer_field(L, list, "n", 0, MAX_FDS, 3);
  fds = lua_newuserdatauv(L, (options->fd_count + 1) * sizeof *fds, 0);
  for (size_t i = 0; i < options->fd_count; i++) {
    lua_rawgeti(L, list, (lua_Integer)i + 1);
    fds[i].fd = check_fd(L);
    fds[i].blocking = false;
    if (has_blocking) {
      lua_rawgeti(L, blocking, (lua_Integer)i + 1);
      fds[i].blocking = lua_toboolean(L, -1);
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  options->fds = fds;
}

/* The value on top of the stack; all from 2^64 on is "no limit". */
static rlim_t check_limit_value(lua_State *L) {
  lua_Number value = lua_tonumber(L, -1);
  if (lua_type(L, -1) != LUA_TNUMBER || !(value >= 0))
    bad_field(L, "limits", "non-negative numbers");
  if (lua_isinteger(L, -1))
    return (rlim_t)lua_tointeger(L, -1);
  return value >= TWO_TO_THE_64 ? RLIM_INFINITY : (rlim_t)value;
}

/* The table {name, soft, hard} on top of the stack. */
static struct mw_spawn_limit check_limit(lua_State *L) {
  struct mw_spawn_limit limit;
  if (!lua_istable(L, -1))
    bad_field(L, "limits", "tables");
  lua_rawgeti(L, -1, 1);
  limit.resource = mw_limits_number(check_string(L, "limits"));
  if (limit.resource < 0)
    bad_field(L, "limits", "names of limits");
  lua_rawgeti(L, -2, 2);
  limit.soft = limit.hard = check_limit_value(L);
  if (lua_rawgeti(L, -3, 3) != LUA_TNIL)
    limit.hard = check_limit_value(L);
  lua_pop(L, 3);
  return limit;
}

static void check_limits(lua_State *L, int index,
                         struct mw_spawn_options *options) {
  struct mw_spawn_limit *limits;
  if (!push_list(L, index, "limits"))
    return;
  options->limit_count = lua_rawlen(L, -1);
  limits = lua_newuserdatauv(L, (options->limit_count + 1) * sizeof *limits, 0);
  for (size_t i = 0; i < options->limit_count; i++) {
    lua_rawgeti(L, -2, (lua_Integer)i + 1);
    limits[i] = check_limit(L);
    lua_pop(L, 1);
  }
  options->limits = limits;
}

static void check_identity(lua_State *L, int index,
                           struct mw_spawn_options *options) {
  lua_Integer group = mw_check_integer_field(L, index, "pgid", 0, INT_MAX, -1);
  lua_Integer uid = mw_check_integer_field(L, index, "uid", 0, MAX_ID, -1);
  lua_Integer gid = mw_check_integer_field(L, index, "gid", 0, MAX_ID, -1);
  lua_Integer umask = mw_check_integer_field(L, index, "umask", 0, 0777, -1);

  options->set_session = flag_field(L, index, "setsid");
  options->set_group = group >= 0;
  options->group = (pid_t)group;
  options->set_uid = uid >= 0;
  options->uid = (uid_t)uid;
  options->set_gid = gid >= 0;
  options->gid = (gid_t)gid;
  options->set_umask = umask >= 0;
  options->umask = (mode_t)umask;
  options->no_new_privs = flag_field(L, index, "no_new_privs");
  options->death_signal =
      (int)mw_check_integer_field(L, index, "death_signal", 0, NSIG - 1, 0);
}

static void check_fork_server(lua_State *L, int index,
                              struct mw_spawn_options *options) {
  lua_Integer server =
      mw_check_integer_field(L, index, "fork_server", 0, INT_MAX, -1);
  options->from_server = server >= 0;
  options->server = (int)server;
  options->double_fork = flag_field(L, index, "double_fork");
}

/* The list that results stays on the stack too. */
static void check_environment(lua_State *L, int index,
                              struct mw_spawn_options *options) {
  char *const *env = string_list(L, index, "env");
  char *const *changes = string_list(L, index, "variables");
  options->envp = env;
  if (changes == NULL)
    return;
  size_t room = mw_environment_room(env, changes);
  char **changed = lua_newuserdatauv(L, room * sizeof *changed, 0);
  mw_environment_change(env, changes, changed);
  options->envp = changed;
}

void mw_check_spawn_options(lua_State *L, int index,
                            struct mw_spawn_options *options) {
  luaL_checktype(L, index, LUA_TTABLE);
  luaL_checkstack(L, 20, NULL);
  *options = (struct mw_spawn_options){.file = NULL};
  options->file = string_field(L, index, "file");
  if (options->file == NULL)
    bad_field(L, "file", "string");
  options->argv = string_list(L, index, "args");
  if (options->argv == NULL)
    bad_field(L, "args", "table");
  check_environment(L, index, options);
  options->cwd = string_field(L, index, "cwd");
  check_fds(L, index, options);
  check_limits(L, index, options);
  check_identity(L, index, options);
  check_fork_server(L, index, options);
}
