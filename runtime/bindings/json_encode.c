#include "bindings/json_encode.h"

#include <lauxlib.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "bindings/array_mark.h"
#include "bindings/json_number.h"
#include "bindings/json_text.h"
#include "bindings/value_path.h"

_Static_assert(sizeof(lua_Integer) == sizeof(int64_t), "64-bit integers");
_Static_assert(sizeof(lua_Number) == sizeof(double), "double floats");

struct encoder {
  lua_State *L;
  struct mw_buffer *out;
  const char *root;
  size_t start; /* the length to go back to */
  int message;  /* stack index */
  int depth;
  struct mw_value_level levels[MW_JSON_DEPTH_MAX];
};

/* Must be called where the levels still stand: the path is read from them. */
static bool fail(struct encoder *e, const char *what, const char *problem) {
  e->out->length = e->start;
  luaL_checkstack(e->L, LUA_MINSTACK, NULL);
  mw_value_path_push(e->L, e->root, e->levels, e->depth);
  lua_pushfstring(e->L, "cannot encode %s: %s %s", lua_tostring(e->L, -1), what,
                  problem);
  lua_replace(e->L, e->message);
  return false;
}

static bool fail_for_memory(struct encoder *e) {
  return fail(e, "the text", "needs more memory than there is");
}

/* Where to write up to `more` bytes; NULL after a failure. */
static char *reserve(struct encoder *e, size_t more) {
  if (mw_buffer_reserve(e->out, more))
    return e->out->bytes + e->out->length;
  fail_for_memory(e);
  return NULL;
}

static bool write_bytes(struct encoder *e, const char *bytes, size_t count) {
  return mw_buffer_append(e->out, bytes, count) || fail_for_memory(e);
}

static bool write_byte(struct encoder *e, char byte) {
  return write_bytes(e, &byte, 1);
}

static size_t escape_byte(unsigned char byte, char *out) {
  static const char hex[] = "0123456789abcdef";
  static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (const char *pair = letters; *pair; pair += 2)
    if ((unsigned char)pair[0] == byte) {
      out[0] = '\\';
      out[1] = pair[1];
      return 2;
    }
  memcpy(out, "\\u00", 4);
  out[4] = hex[byte >> 4];
  out[5] = hex[byte & 15];
  return 6;
}

static bool write_string(struct encoder *e, const char *text, size_t length,
                         const char *what) {
  char *to = reserve(e, length + 2);
  if (!to)
    return false;
  *to++ = '"';
  for (;;) {
    size_t run = mw_json_text_run(text, length);
    memcpy(to, text, run);
    to += run;
    if (run == length)
      break;
    unsigned char byte = (unsigned char)text[run];
    if (byte >= 0x80)
      return fail(e, what, "is not valid UTF-8");
    text += run + 1;
    length -= run + 1;
    e->out->length = (size_t)(to - e->out->bytes);
    to = reserve(e, length + 7); /* an escape, the rest, the quote */
    if (!to)
      return false;
    to += escape_byte(byte, to);
  }
  *to++ = '"';
  e->out->length = (size_t)(to - e->out->bytes);
  return true;
}

static bool write_number(struct encoder *e, int index) {
  char *to = reserve(e, MW_JSON_NUMBER_SIZE);
  if (!to)
    return false;
  if (lua_isinteger(e->L, index)) {
    e->out->length += mw_json_integer_write(lua_tointeger(e->L, index), to);
    return true;
  }
  double value = lua_tonumber(e->L, index);
  if (!isfinite(value))
    return write_bytes(e, "null", 4);
  e->out->length += mw_json_float_write(value, to);
  return true;
}

static bool write_key(struct encoder *e, int key) {
  char text[MW_JSON_NUMBER_SIZE];
  size_t length;
  int type = lua_type(e->L, key);
  if (type == LUA_TSTRING) {
    const char *string = lua_tolstring(e->L, key, &length);
    return write_string(e, string, length, "the key");
  }
  if (type != LUA_TNUMBER)
    return fail(e, lua_typename(e->L, type), "keys have no JSON form");
  length = mw_value_key_write(e->L, key, text);
  return write_string(e, text, length, "the key");
}

static bool write_value(struct encoder *e, int index);

static bool write_array(struct encoder *e, int index) {
  struct mw_value_level *level = &e->levels[e->depth - 1];
  lua_Unsigned length = lua_rawlen(e->L, index);
  level->key = 0;
  if (!write_byte(e, '['))
    return false;
  for (lua_Unsigned i = 1; i <= length; i++) {
    level->index = i;
    if (i > 1 && !write_byte(e, ','))
      return false;
    int type = lua_rawgeti(e->L, index, (lua_Integer)i);
    if (type == LUA_TNIL ? !write_bytes(e, "null", 4)
                         : !write_value(e, lua_gettop(e->L)))
      return false;
    lua_pop(e->L, 1);
  }
  return write_byte(e, ']');
}

static bool write_object(struct encoder *e, int index) {
  struct mw_value_level *level = &e->levels[e->depth - 1];
  int key = lua_gettop(e->L) + 1;
  bool is_first = true;
  level->key = key;
  lua_pushnil(e->L);
  if (!write_byte(e, '{'))
    return false;
  while (lua_next(e->L, index)) {
    if (!is_first && !write_byte(e, ','))
      return false;
    if (!write_key(e, key) || !write_byte(e, ':') || !write_value(e, key + 1))
      return false;
    is_first = false;
    lua_pop(e->L, 1);
  }
  return write_byte(e, '}');
}

/* As many keys as the border says, all of them integers up to it: then they
   are 1..n. */
static bool is_sequence(lua_State *L, int index) {
  lua_Unsigned length = lua_rawlen(L, index);
  lua_Unsigned count = 0;
  if (length == 0)
    return false;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    if (!lua_isinteger(L, -1) ||
        (lua_Unsigned)lua_tointeger(L, -1) - 1 >= length) {
      lua_pop(L, 1);
      return false;
    }
    count++;
  }
  return count == length;
}

static bool write_table(struct encoder *e, int index) {
  const void *table = lua_topointer(e->L, index);
  for (int i = 0; i < e->depth; i++)
    if (e->levels[i].table == table)
      return fail(e, "the table", "contains itself");
  if (e->depth == MW_JSON_DEPTH_MAX)
    return fail(e, "the table", "is nested too deep");
  if (!lua_checkstack(e->L, 4))
    return fail(e, "the table", "finds no room on the Lua stack");
  e->levels[e->depth++].table = table;
  bool is_array = mw_array_is_marked(e->L, index) || is_sequence(e->L, index);
  bool written = is_array ? write_array(e, index) : write_object(e, index);
  e->depth--;
  return written;
}

static bool write_value(struct encoder *e, int index) {
  size_t length;
  const char *text;
  int type = lua_type(e->L, index);
  switch (type) {
  case LUA_TBOOLEAN:
    return lua_toboolean(e->L, index) ? write_bytes(e, "true", 4)
                                      : write_bytes(e, "false", 5);
  case LUA_TNUMBER: return write_number(e, index);
  case LUA_TSTRING:
    text = lua_tolstring(e->L, index, &length);
    return write_string(e, text, length, "the string");
  case LUA_TTABLE: return write_table(e, index);
  case LUA_TLIGHTUSERDATA:
    if (!lua_touserdata(e->L, index))
      return write_bytes(e, "null", 4);
    break;
  default: break;
  }
  return fail(e, lua_typename(e->L, type), "values have no JSON form");
}

bool mw_json_encode(lua_State *L, int index, const char *root,
                    struct mw_buffer *out) {
  struct encoder e;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  e.L = L;
  e.out = out;
  e.root = root;
  e.start = out->length;
  e.message = lua_gettop(L);
  e.depth = 0;
  bool encoded = write_value(&e, index);
  lua_settop(L, encoded ? e.message - 1 : e.message);
  return encoded;
}
