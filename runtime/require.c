#include "require.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_file(const char *path) {
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool ends_with(const char *text, const char *end) {
  size_t length = strlen(text), end_length = strlen(end);
  return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

/* Pushes the folder of the nearest Lua function on the stack that came from
   a file; the start folder stands for those that came from elsewhere. */
static void push_folder(lua_State *L) {
  const char *start = lua_tostring(L, lua_upvalueindex(2));
  lua_Debug ar;
  for (int level = 1; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "S", &ar);
    if (*ar.what == 'C')
      continue;
    if (*ar.source != '@')
      break;
    const char *file = ar.source + 1;
    const char *slash = strrchr(file, '/');
    if (*file == '/') {
      lua_pushlstring(L, file, (size_t)(slash - file));
    } else {
      lua_pushfstring(L, "%s/", start);
      lua_pushlstring(L, file, slash ? (size_t)(slash - file) : 0);
      lua_concat(L, 2);
    }
    return;
  }
  char folder[PATH_MAX];
  lua_pushstring(L, getcwd(folder, sizeof folder) ? folder : start);
}

/* Pushes the path of the file that `name` means; raises where there is none,
   with all the places looked at. */
static const char *push_file(lua_State *L, const char *name) {
  static const char *const endings[] = {"", ".lua", ".json", "/init.lua"};
  push_folder(L);
  const char *folder = lua_tostring(L, -1);
  lua_pushfstring(L, "module '%s' not found:", name);
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

/* Pushes what the JSON file at `path` holds. */
static void load_json(lua_State *L, const char *path) {
  lua_getglobal(L, "io");
  lua_getfield(L, -1, "open");
  lua_pushstring(L, path);
  lua_call(L, 1, 2);
  if (lua_isnil(L, -2))
    luaL_error(L, "%s", lua_tostring(L, -1));
  lua_pop(L, 1);
  lua_getfield(L, -1, "read");
  lua_pushvalue(L, -2);
  lua_pushliteral(L, "a");
  lua_call(L, 2, 1);
  lua_getfield(L, -2, "close");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 0);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushliteral(L, "mw.json");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "decode");
  lua_pushvalue(L, -3);
  lua_call(L, 1, 2);
  if (lua_isnil(L, -2))
    luaL_error(L, "error loading module '%s':\n\t%s", path,
               luaL_tolstring(L, -1, NULL));
  lua_pop(L, 1);
}

/* Pushes what the Lua file at `path` returns, true where it is nothing. */
static void load_lua(lua_State *L, const char *name, const char *path) {
  if (luaL_loadfile(L, path) != LUA_OK)
    luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name, path,
               lua_tostring(L, -1));
  lua_pushstring(L, name);
  lua_pushstring(L, path);
  lua_call(L, 2, 1);
}

/* Stack: 1 name, 2 the table of loaded modules, 3 and up: free. */
static int require_relative(lua_State *L) {
  const char *name = lua_tostring(L, 1);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  const char *path = push_file(L, name);
  lua_pushvalue(L, -1);
  if (lua_rawget(L, 2) != LUA_TNIL)
    return 1;
  if (ends_with(path, ".json"))
    load_json(L, path);
  else
    load_lua(L, name, path);
  if (lua_isnil(L, -1)) { /* the module may have put itself in, as in Lua */
    lua_pushstring(L, path);
    if (lua_rawget(L, 2) == LUA_TNIL)
      lua_pushboolean(L, 1);
  }
  lua_pushstring(L, path);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  lua_pushstring(L, path);
  return 2;
}

static int require(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  if (strncmp(name, "./", 2) == 0 || strncmp(name, "../", 3) == 0)
    return require_relative(L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

void mw_require_open(lua_State *L) {
  char start[PATH_MAX];
  lua_getglobal(L, "require");
  lua_pushstring(L, getcwd(start, sizeof start) ? start : ".");
  lua_pushcclosure(L, require, 2);
  lua_setglobal(L, "require");
}
