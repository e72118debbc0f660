#include "require.h"

#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The upvalues of our function. The first is that of the stock one, which can
   so be run in our frame: levels and tracebacks stay as they are in `lua`. */
enum { PACKAGE = 1, STOCK_REQUIRE = 2, START_FOLDER = 3 };

static bool is_relative(const char *name) {
  if (*name != '.')
    return false;
  name += name[1] == '.' ? 2 : 1;
  return *name == '/' || *name == '\0';
}

static bool is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);
  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static const char *start_folder(lua_State *L) {
  return lua_tostring(L, lua_upvalueindex(START_FOLDER));
}

static const char *push_current_folder(lua_State *L) {
  char folder[PATH_MAX];
  bool known = getcwd(folder, sizeof folder) != NULL;
  return lua_pushstring(L, known ? folder : start_folder(L));
}

/* Pushes an absolute path of the file that a chunk is named after. A relative
   name was true where it was loaded: in the start folder, or, if the program
   has gone elsewhere since, in the current one. */
static const char *push_source_path(lua_State *L, const char *file) {
  if (*file == '/')
    return lua_pushstring(L, file);
  const char *at_start = lua_pushfstring(L, "%s/%s", start_folder(L), file);
  if (is_file(at_start))
    return at_start;
  const char *here = lua_pushfstring(L, "%s/%s", push_current_folder(L), file);
  return is_file(here) ? here : at_start;
}

/* Pushes the folder that a file really lies in. */
static const char *push_folder_of(lua_State *L, const char *file) {
  char real[PATH_MAX];
  const char *path = push_source_path(L, file);
  if (realpath(path, real))
    path = real;
  const char *slash = strrchr(path, '/');
  return lua_pushlstring(L, path, (size_t)(slash - path));
}

/* Pushes the folder of the nearest file among the callers, the current folder
   where a chunk of the command line or of standard input is nearer. */
static const char *push_folder(lua_State *L) {
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "S", &ar);
    if (*ar.source == '@')
      return push_folder_of(L, ar.source + 1);
    if (strcmp(ar.source, "=stdin") == 0 ||
        strcmp(ar.source, "=(command line)") == 0)
      break;
  }
  return push_current_folder(L);
}

/* Pushes the real path of the file that `name` means; raises where there is
   none, with all the places looked at. */
static const char *push_file(lua_State *L, const char *name) {
  static const char *const endings[] = {"", ".lua", ".json", "/init.lua"};
  const char *folder = push_folder(L);
  lua_pushfstring(L, "module '%s' not found:", name);
  while (strncmp(name, "./", 2) == 0)
    name += 2;
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    const char *path = lua_pushfstring(L, "%s/%s%s", folder, name, endings[i]);
    char real[PATH_MAX];
    if (is_file(path) && realpath(path, real))
      return lua_pushstring(L, real);
    lua_pushfstring(L, "%s\n\tno file '%s'", lua_tostring(L, -2), path);
    lua_replace(L, -3);
    lua_pop(L, 1);
  }
  luaL_error(L, "%s", lua_tostring(L, -1));
  return NULL;
}

/* Reads at most `size` bytes; returns how many, or -1. */
static ssize_t read_file(const char *path, char *data, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd == -1)
    return -1;
  size_t filled = 0;
  ssize_t length;
  while ((length = read(fd, data + filled, size - filled)) > 0)
    filled += (size_t)length;
  close(fd);
  return length < 0 ? -1 : (ssize_t)filled;
}

/* Pushes what a file holds, without a byte order mark; nil where it cannot be
   read. */
static void push_text(lua_State *L, const char *path) {
  struct stat info;
  size_t size = stat(path, &info) == 0 ? (size_t)info.st_size : 0;
  char *data = lua_newuserdatauv(L, size + 1, 0);
  ssize_t length = read_file(path, data, size);
  size_t mark = length >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  if (length < 0)
    lua_pushnil(L);
  else
    lua_pushlstring(L, data + mark, (size_t)length - mark);
  lua_remove(L, -2);
}

_Noreturn static void raise_load_error(lua_State *L, const char *name,
                                       const char *path, const char *why) {
  luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, path,
             why);
  abort(); /* luaL_error does not return */
}

/* Pushes what the JSON file at `path` means. */
static void load_json(lua_State *L, const char *name, const char *path) {
  lua_pushvalue(L, lua_upvalueindex(STOCK_REQUIRE));
  lua_pushliteral(L, "mw.json");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "decode");
  push_text(L, path);
  if (lua_isnil(L, -1))
    raise_load_error(L, name, path, "cannot read the file");
  lua_call(L, 1, 2);
  if (lua_isnil(L, -2))
    raise_load_error(L, name, path, luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
}

/* Pushes what the Lua file at `path` returns. */
static void load_lua(lua_State *L, const char *name, const char *path) {
  if (luaL_loadfile(L, path) != LUA_OK)
    raise_load_error(L, name, path, lua_tostring(L, -1));
  lua_pushstring(L, name);
  lua_pushstring(L, path);
  lua_call(L, 2, 1);
}

/* Pushes what is kept for `path` in the table of loaded modules, below. */
static bool push_loaded(lua_State *L, int loaded, const char *path) {
  lua_pushstring(L, path);
  lua_rawget(L, loaded);
  return lua_toboolean(L, -1);
}

/* (name) -> module, path; as the stock function does it */
static int require_relative(lua_State *L, const char *name) {
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  const char *path = push_file(L, name);
  if (push_loaded(L, 2, path))
    return 1;
  if (ends_with(path, ".json"))
    load_json(L, name, path);
  else
    load_lua(L, name, path);
  if (lua_isnil(L, -1) && !push_loaded(L, 2, path))
    lua_pushboolean(L, 1); /* nor has the module put itself in */
  lua_pushstring(L, path);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  lua_pushstring(L, path);
  return 2;
}

static int require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (is_relative(name))
    return require_relative(L, name);
  return lua_tocfunction(L, lua_upvalueindex(STOCK_REQUIRE))(L);
}

void mw_require_open(lua_State *L) {
  char start[PATH_MAX];
  lua_getglobal(L, "require");
  lua_getupvalue(L, -1, PACKAGE);
  lua_insert(L, -2);
  lua_pushstring(L, getcwd(start, sizeof start) ? start : ".");
  lua_pushcclosure(L, require, START_FOLDER);
  lua_setglobal(L, "require");
}
