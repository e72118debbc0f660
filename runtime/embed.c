#include "embed.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "embedded_files.h"

static int compare_names(const void *key, const void *member) {
  const struct mw_embedded_file *file = member;
  return strcmp(key, file->name);
}

static int not_found(lua_State *L, const char *name) {
  lua_pushfstring(L, "no module '%s' in mwrun", name);
  return 1;
}

/* Raises for the message on top of the stack. */
static int load_error(lua_State *L, const char *name, const char *file) {
  return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name,
                    file, lua_tostring(L, -1));
}

static int load_embedded(lua_State *L, const char *name) {
  const struct mw_embedded_file *file =
      bsearch(name, mw_embedded_files, mw_embedded_file_count,
              sizeof *mw_embedded_files, compare_names);
  if (!file)
    return not_found(L, name);
  size_t length = (size_t)(file->end - file->start);
  if (luaL_loadbufferx(L, file->start, length, file->path, "b") != LUA_OK)
    return load_error(L, name, file->path);
  lua_pushstring(L, file->path);
  return 2;
}

static int load_from_directory(lua_State *L, const char *name,
                               const char *directory) {
  const char *path = luaL_gsub(L, name, ".", "/");
  const char *patterns[] = {"%s/%s.lua", "%s/%s/init.lua"};
  const char *looked_at = lua_pushliteral(L, "MWRUN_LUA_DIR is set:");
  for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
    const char *file = lua_pushfstring(L, patterns[i], directory, path);
    int status = luaL_loadfilex(L, file, "t");
    if (status == LUA_OK) {
      lua_pushstring(L, file);
      return 2;
    }
    if (status != LUA_ERRFILE)
      return load_error(L, name, file);
    looked_at = lua_pushfstring(L, "%s\n\tno file '%s'", looked_at, file);
  }
  lua_pushstring(L, looked_at);
  return 1;
}

static int searcher(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  const char *directory = lua_tostring(L, lua_upvalueindex(1));
  if (strncmp(name, "mw", 2) != 0 || (name[2] != '\0' && name[2] != '.'))
    return 0;
  return directory ? load_from_directory(L, name, directory)
                   : load_embedded(L, name);
}

/* Pushes the absolute path, which stays right when the program goes to another
   folder; nil for none. */
static void push_directory(lua_State *L, const char *directory) {
  char real[PATH_MAX];
  if (directory && realpath(directory, real))
    directory = real;
  lua_pushstring(L, directory);
}

void mw_embed_open(lua_State *L, const char *directory) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  for (lua_Integer i = luaL_len(L, -1); i >= 2; i--) {
    lua_rawgeti(L, -1, i);
    lua_rawseti(L, -2, i + 1);
  }
  push_directory(L, directory);
  lua_pushcclosure(L, searcher, 1);
  lua_rawseti(L, -2, 2);
  lua_pop(L, 2);
}
