/*
 * A program of the build: compiles Lua files by the Lua that mwrun is linked
 * with, so that their form is the one that it loads. Names and line numbers of
 * the sources stay in.
 *   mw_compile ROOT OUTPUT FILE...    each FILE below ROOT, to the same below
 *                                     OUTPUT
 */
#include <errno.h>
#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int write_chunk(lua_State *L, const void *bytes, size_t size,
                       void *file) {
  (void)L;
  return fwrite(bytes, 1, size, file) != size;
}

static int fail(const char *what, const char *why) {
  fprintf(stderr, "mw_compile: %s: %s\n", what, why);
  return EXIT_FAILURE;
}

static int dump(lua_State *L, const char *output) {
  FILE *file = fopen(output, "wb");
  if (!file)
    return fail(output, strerror(errno));
  int status = lua_dump(L, write_chunk, file, 0);
  if (fclose(file) || status)
    return fail(output, "cannot be written");
  return EXIT_SUCCESS;
}

static int compile(lua_State *L, const char *root, const char *output,
                   const char *name) {
  const char *source = lua_pushfstring(L, "%s/%s", root, name);
  const char *target = lua_pushfstring(L, "%s/%s", output, name);
  FILE *file = fopen(source, "rb");
  if (!file)
    return fail(source, strerror(errno));
  luaL_Buffer text;
  luaL_buffinit(L, &text);
  size_t count;
  do {
    count = fread(luaL_prepbuffer(&text), 1, LUAL_BUFFERSIZE, file);
    luaL_addsize(&text, count);
  } while (count > 0);
  fclose(file);
  luaL_pushresult(&text);
  size_t length;
  const char *bytes = lua_tolstring(L, -1, &length);
  const char *chunk = lua_pushfstring(L, "@%s", name);
  if (luaL_loadbufferx(L, bytes, length, chunk, "t") != LUA_OK)
    return fail(source, lua_tostring(L, -1));
  return dump(L, target);
}

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  int status = L && argc > 3 ? EXIT_SUCCESS : EXIT_FAILURE;
  for (int i = 3; i < argc && status == EXIT_SUCCESS; i++) {
    status = compile(L, argv[1], argv[2], argv[i]);
    lua_settop(L, 0);
  }
  if (L)
    lua_close(L);
  return status;
}
