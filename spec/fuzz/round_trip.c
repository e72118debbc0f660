#include "round_trip.h"

#include <lauxlib.h>
#include <string.h>

#include "check.h"

struct input {
  const struct fuzz_codec *codec;
  const char *bytes;
  size_t length;
  struct mw_buffer first;
  struct mw_buffer second;
};

static bool numbers_equal(lua_State *L, int a, int b) {
  if (lua_isinteger(L, a) || lua_isinteger(L, b))
    return lua_isinteger(L, a) && lua_isinteger(L, b) && lua_rawequal(L, a, b);
  lua_Number left = lua_tonumber(L, a);
  lua_Number right = lua_tonumber(L, b);
  return memcmp(&left, &right, sizeof(left)) == 0;
}

static bool values_equal(lua_State *L, int a, int b);

static int count_pairs(lua_State *L, int table) {
  int count = 0;
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
    count++;
  return count;
}

static bool tables_equal(lua_State *L, int a, int b) {
  luaL_checkstack(L, 8, NULL);
  if (lua_getmetatable(L, a) != lua_getmetatable(L, b))
    return false;
  lua_settop(L, b > a ? b : a); /* there is only one metatable */
  if (count_pairs(L, a) != count_pairs(L, b))
    return false;
  int top = lua_gettop(L);
  for (lua_pushnil(L); lua_next(L, a); lua_settop(L, top + 1)) {
    lua_pushvalue(L, top + 1);
    lua_rawget(L, b);
    if (!values_equal(L, top + 2, top + 3))
      return false;
  }
  return true;
}

static bool values_equal(lua_State *L, int a, int b) {
  if (lua_type(L, a) != lua_type(L, b))
    return false;
  switch (lua_type(L, a)) {
  case LUA_TNUMBER: return numbers_equal(L, a, b);
  case LUA_TTABLE: return tables_equal(L, a, b);
  default: return lua_rawequal(L, a, b);
  }
}

/* From a value that has been written once, all steps are exact. */
static void check_value(lua_State *L, struct input *input) {
  const struct fuzz_codec *codec = input->codec;
  struct mw_buffer *first = &input->first;
  struct mw_buffer *second = &input->second;
  size_t offset;
  int value = lua_gettop(L);
  fuzz_require(codec->encode(L, value, "value", first), "a value encodes");
  fuzz_require(codec->decode(L, first->bytes, first->length, &offset),
               "what was encoded decodes");
  fuzz_require(codec->encode(L, value + 1, "value", second),
               "and encodes again");
  fuzz_require(first->length == second->length, "to the same size");
  fuzz_require(codec->decode(L, second->bytes, second->length, &offset),
               "and decodes again");
  fuzz_require(values_equal(L, value + 1, value + 2), "to the same value");
  fuzz_require(lua_gettop(L) == value + 2, "the stack is balanced");
}

static int check_input(lua_State *L) {
  struct input *input = lua_touserdata(L, 1);
  size_t offset = 0;
  bool decoded = input->codec->decode(L, input->bytes, input->length, &offset);
  fuzz_require(lua_gettop(L) == 2, "decode pushes one value");
  if (decoded) {
    check_value(L, input);
  } else {
    fuzz_require(lua_type(L, -1) == LUA_TSTRING, "a failure is a sentence");
    fuzz_require(offset >= 1 && offset <= input->length + 1, "and has a place");
  }
  return 0;
}

void fuzz_round_trip(const struct fuzz_codec *codec, const uint8_t *data,
                     size_t size) {
  static lua_State *L;
  struct input input = {
      .codec = codec, .bytes = (const char *)data, .length = size};
  if (!L)
    L = luaL_newstate();
  fuzz_require(L, "there is a Lua state");
  lua_pushcfunction(L, check_input);
  lua_pushlightuserdata(L, &input);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK)
    fuzz_require(false, lua_tostring(L, -1));
  mw_buffer_free(&input.first);
  mw_buffer_free(&input.second);
}
