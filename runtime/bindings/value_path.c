#include "bindings/value_path.h"

#include <lauxlib.h>
#include <math.h>
#include <string.h>

#include "bindings/json_number.h"
#include "bindings/json_text.h"

enum {
  LEVELS_SHOWN = 16, /* a longer path is shown without its middle */
  KEY_SHOWN = 40,
};

static bool is_identifier(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++) {
    bool is_digit = text[i] >= '0' && text[i] <= '9';
    bool is_letter = (text[i] >= 'a' && text[i] <= 'z') ||
                     (text[i] >= 'A' && text[i] <= 'Z') || text[i] == '_';
    if (!is_letter && !(is_digit && i > 0))
      return false;
  }
  return length > 0;
}

/* Anything may be in a key, and the path goes to terminals and logs. */
static void add_escaped(luaL_Buffer *path, const char *text, size_t length) {
  static const char hex[] = "0123456789ABCDEF";
  size_t run;
  for (;; text += run + 1, length -= run + 1) {
    run = mw_json_text_run(text, length);
    luaL_addlstring(path, text, run);
    if (run == length)
      return;
    unsigned char byte = (unsigned char)text[run];
    luaL_addchar(path, '\\');
    if (byte == '"' || byte == '\\') {
      luaL_addchar(path, (char)byte);
    } else {
      luaL_addchar(path, 'x');
      luaL_addchar(path, hex[byte >> 4]);
      luaL_addchar(path, hex[byte & 15]);
    }
  }
}

static void add_text_key(luaL_Buffer *path, const char *text, size_t length) {
  if (length <= KEY_SHOWN && is_identifier(text, length)) {
    luaL_addchar(path, '.');
    luaL_addlstring(path, text, length);
    return;
  }
  size_t shown = length;
  if (length > KEY_SHOWN) {
    shown = KEY_SHOWN;
    while (shown > KEY_SHOWN - 4 && ((unsigned char)text[shown] >> 6) == 2)
      shown--; /* not in the middle of a character */
  }
  luaL_addstring(path, "[\"");
  add_escaped(path, text, shown);
  luaL_addstring(path, shown < length ? "...\"]" : "\"]");
}

size_t mw_value_key_write(lua_State *L, int key, char *out) {
  if (lua_isinteger(L, key))
    return mw_json_integer_write(lua_tointeger(L, key), out);
  double value = lua_tonumber(L, key);
  if (isfinite(value))
    return mw_json_float_write(value, out);
  const char *word = value < 0 ? "-Infinity" : "Infinity";
  size_t length = strlen(word);
  memcpy(out, word, length);
  return length;
}

static void add_key(luaL_Buffer *path, lua_State *L,
                    const struct mw_value_level *level) {
  char number[MW_JSON_NUMBER_SIZE];
  int type = level->key ? lua_type(L, level->key) : LUA_TNIL;
  size_t length;
  if (type == LUA_TSTRING) {
    const char *text = lua_tolstring(L, level->key, &length);
    add_text_key(path, text, length);
    return;
  }
  luaL_addchar(path, '[');
  if (type == LUA_TNIL || type == LUA_TNUMBER) {
    length = type == LUA_TNUMBER
                 ? mw_value_key_write(L, level->key, number)
                 : mw_json_integer_write((int64_t)level->index, number);
    luaL_addlstring(path, number, length);
  } else if (type == LUA_TBOOLEAN) {
    luaL_addstring(path, lua_toboolean(L, level->key) ? "true" : "false");
  } else {
    luaL_addstring(path, lua_typename(L, type));
  }
  luaL_addchar(path, ']');
}

void mw_value_path_push(lua_State *L, const char *root,
                        const struct mw_value_level *levels, int count) {
  luaL_Buffer path;
  luaL_buffinit(L, &path);
  luaL_addstring(&path, root);
  for (int i = 0; i < count; i++) {
    if (i == LEVELS_SHOWN / 2 && count > LEVELS_SHOWN) {
      luaL_addstring(&path, "...");
      i = count - LEVELS_SHOWN / 2;
    }
    add_key(&path, L, &levels[i]);
  }
  luaL_pushresult(&path);
}
