#include "bindings/json_decode.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bindings/array_mark.h"
#include "bindings/json_encode.h"
#include "bindings/json_number.h"
#include "bindings/json_text.h"

/* So many elements wait on the Lua stack until the size of their table is
   known; most tables are small, and growing them is what costs most. */
enum { ARRAY_BATCH = 16, OBJECT_BATCH = 8, SCRATCH_MIN = 256 };

struct decoder {
  lua_State *L;
  const char *at;
  const char *end;
  const char *expected; /* at `at`, after a failure */
  char *scratch;        /* for strings with escapes */
  size_t scratch_size;
  int scratch_index;
  int mark_index;
  int depth;
};

static bool fail(struct decoder *d, const char *expected) {
  d->expected = expected;
  return false;
}

static void skip_space(struct decoder *d) {
  while (d->at < d->end &&
         (*d->at == ' ' || *d->at == '\n' || *d->at == '\r' || *d->at == '\t'))
    d->at++;
}

static bool is_next(const struct decoder *d, char byte) {
  return d->at < d->end && *d->at == byte;
}

static int hex_value(char byte) {
  if (byte >= '0' && byte <= '9')
    return byte - '0';
  if (byte >= 'a' && byte <= 'f')
    return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F')
    return byte - 'A' + 10;
  return -1;
}

static bool skip_escape(struct decoder *d) {
  d->at++;
  if (d->at == d->end || !memchr("\"\\/bfnrtu", *d->at, 9))
    return fail(d, "an escape such as \\n or \\u000A");
  if (*d->at++ != 'u')
    return true;
  for (int i = 0; i < 4; i++, d->at++)
    if (d->at == d->end || hex_value(*d->at) < 0)
      return fail(d, "a hexadecimal digit");
  return true;
}

/* From behind the opening quote to the closing one. */
static bool skip_string(struct decoder *d, bool *has_escapes) {
  *has_escapes = false;
  for (;;) {
    d->at += mw_json_text_run(d->at, (size_t)(d->end - d->at));
    if (d->at == d->end)
      return fail(d, "'\"'");
    if (*d->at == '"')
      return true;
    if ((unsigned char)*d->at >= 0x80)
      return fail(d, "valid UTF-8");
    if (*d->at != '\\')
      return fail(d, "an escape instead of the control character");
    if (!skip_escape(d))
      return false;
    *has_escapes = true;
  }
}

static uint32_t read_hex(const char *digits) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++)
    value = value << 4 | (uint32_t)hex_value(digits[i]);
  return value;
}

static char *put_character(char *to, uint32_t code) {
  if (code < 0x80) {
    *to++ = (char)code;
    return to;
  }
  if (code < 0x800) {
    *to++ = (char)(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      *to++ = (char)(0xE0 | code >> 12);
    } else {
      *to++ = (char)(0xF0 | code >> 18);
      *to++ = (char)(0x80 | (code >> 12 & 0x3F));
    }
    *to++ = (char)(0x80 | (code >> 6 & 0x3F));
  }
  *to++ = (char)(0x80 | (code & 0x3F));
  return to;
}

/* `at` is at the u; half a surrogate pair alone becomes U+FFFD. */
static const char *unescape_code(const char *at, const char *end, char **to) {
  uint32_t code = read_hex(at + 1);
  at += 5;
  if (code >= 0xD800 && code < 0xDC00 && end - at >= 6 && at[0] == '\\' &&
      at[1] == 'u') {
    uint32_t low = read_hex(at + 2);
    if (low >= 0xDC00 && low < 0xE000) {
      code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      at += 6;
    }
  }
  if (code >= 0xD800 && code < 0xE000)
    code = 0xFFFD;
  *to = put_character(*to, code);
  return at;
}

/* Writes the checked text, which never grows; returns the length. */
static size_t unescape(const char *at, const char *end, char *out) {
  static const char letters[] = "b\bf\fn\nr\rt\t";
  char *to = out;
  for (;;) {
    const char *stop = memchr(at, '\\', (size_t)(end - at));
    size_t run = (size_t)((stop ? stop : end) - at);
    memcpy(to, at, run);
    to += run;
    if (!stop)
      return (size_t)(to - out);
    at = stop + 1;
    if (*at == 'u') {
      at = unescape_code(at, end, &to);
      continue;
    }
    const char *letter = strchr(letters, *at);
    *to++ = letter ? letter[1] : *at;
    at++;
  }
}

static char *reserve_scratch(struct decoder *d, size_t size) {
  if (size > d->scratch_size) {
    if (size < SCRATCH_MIN)
      size = SCRATCH_MIN;
    if (size < d->scratch_size * 2)
      size = d->scratch_size * 2;
    d->scratch = lua_newuserdatauv(d->L, size, 0);
    d->scratch_size = size;
    lua_replace(d->L, d->scratch_index);
  }
  return d->scratch;
}

static bool read_string(struct decoder *d) {
  const char *first = ++d->at;
  bool has_escapes;
  if (!skip_string(d, &has_escapes))
    return false;
  size_t length = (size_t)(d->at - first);
  if (has_escapes) {
    char *scratch = reserve_scratch(d, length);
    length = unescape(first, d->at, scratch);
    first = scratch;
  }
  lua_pushlstring(d->L, first, length);
  d->at++;
  return true;
}

static bool read_number(struct decoder *d) {
  struct mw_json_number number;
  if (!mw_json_number_read(&d->at, d->end, &number))
    return fail(d, "a digit");
  if (number.is_integer)
    lua_pushinteger(d->L, number.integer);
  else
    lua_pushnumber(d->L, number.real);
  return true;
}

static bool skip_word(struct decoder *d, const char *word) {
  size_t length = strlen(word);
  if ((size_t)(d->end - d->at) < length || memcmp(d->at, word, length) != 0)
    return fail(d, "a value");
  d->at += length;
  return true;
}

static bool read_value(struct decoder *d);

/* The stack above `slot` becomes a table in it. */
static void collect_array(lua_State *L, int slot, int size) {
  lua_createtable(L, size, 0);
  lua_replace(L, slot);
  for (int i = lua_gettop(L) - slot; i > 0; i--)
    lua_rawseti(L, slot, i);
}

/* The same with pairs, in their order: of equal keys the last one counts. */
static void collect_object(lua_State *L, int slot, int size) {
  int top = lua_gettop(L);
  lua_createtable(L, 0, size);
  lua_replace(L, slot);
  for (int key = slot + 1; key < top; key += 2) {
    lua_pushvalue(L, key);
    lua_pushvalue(L, key + 1);
    lua_rawset(L, slot);
  }
  lua_settop(L, slot);
}

static bool read_elements(struct decoder *d, int slot) {
  lua_Integer count = 0;
  for (;;) {
    if (!read_value(d))
      return false;
    count++;
    if (count == ARRAY_BATCH + 1)
      collect_array(d->L, slot, 2 * ARRAY_BATCH);
    else if (count > ARRAY_BATCH)
      lua_rawseti(d->L, slot, count);
    skip_space(d);
    if (!is_next(d, ','))
      break;
    d->at++;
  }
  if (!is_next(d, ']'))
    return fail(d, "',' or ']'");
  if (count <= ARRAY_BATCH)
    collect_array(d->L, slot, (int)count);
  return true;
}

static bool read_array(struct decoder *d) {
  lua_pushnil(d->L);
  int slot = lua_gettop(d->L);
  skip_space(d);
  if (is_next(d, ']'))
    collect_array(d->L, slot, 0);
  else if (!read_elements(d, slot))
    return false;
  lua_pushvalue(d->L, d->mark_index);
  lua_setmetatable(d->L, slot);
  return true;
}

static bool read_pair(struct decoder *d, const char *expected_key) {
  skip_space(d);
  if (!is_next(d, '"'))
    return fail(d, expected_key);
  if (!read_string(d))
    return false;
  skip_space(d);
  if (!is_next(d, ':'))
    return fail(d, "':'");
  d->at++;
  return read_value(d);
}

static bool read_pairs(struct decoder *d, int slot) {
  const char *expected_key = "a string as key or '}'";
  size_t count = 0;
  for (;;) {
    if (!read_pair(d, expected_key))
      return false;
    count++;
    if (count == OBJECT_BATCH + 1)
      collect_object(d->L, slot, 2 * OBJECT_BATCH);
    else if (count > OBJECT_BATCH)
      lua_rawset(d->L, slot);
    skip_space(d);
    if (!is_next(d, ','))
      break;
    d->at++;
    expected_key = "a string as key";
  }
  if (!is_next(d, '}'))
    return fail(d, "',' or '}'");
  if (count <= OBJECT_BATCH)
    collect_object(d->L, slot, (int)count);
  return true;
}

static bool read_object(struct decoder *d) {
  lua_pushnil(d->L);
  int slot = lua_gettop(d->L);
  skip_space(d);
  if (!is_next(d, '}'))
    return read_pairs(d, slot);
  collect_object(d->L, slot, 0);
  return true;
}

static bool read_nested(struct decoder *d, bool (*read)(struct decoder *)) {
  if (d->depth == MW_JSON_DEPTH_MAX)
    return fail(d, NULL);
  luaL_checkstack(d->L, ARRAY_BATCH + 2 * OBJECT_BATCH + 8,
                  "JSON text is nested too deep");
  d->depth++;
  d->at++;
  if (!read(d))
    return false;
  d->at++;
  d->depth--;
  return true;
}

static bool read_value(struct decoder *d) {
  skip_space(d);
  if (d->at == d->end)
    return fail(d, "a value");
  switch (*d->at) {
  case '"': return read_string(d);
  case '[': return read_nested(d, read_array);
  case '{': return read_nested(d, read_object);
  case 't': lua_pushboolean(d->L, 1); return skip_word(d, "true");
  case 'f': lua_pushboolean(d->L, 0); return skip_word(d, "false");
  case 'n': lua_pushlightuserdata(d->L, NULL); return skip_word(d, "null");
  case '-':
  case '0':
  case '1':
  case '2':
  case '3':
  case '4':
  case '5':
  case '6':
  case '7':
  case '8':
  case '9': return read_number(d);
  default: return fail(d, "a value");
  }
}

static bool read_text(struct decoder *d) {
  if (!read_value(d))
    return false;
  skip_space(d);
  return d->at == d->end || fail(d, "the end of the text");
}

static void push_failure(const struct decoder *d, size_t offset) {
  char found[32];
  unsigned char byte = d->at < d->end ? (unsigned char)*d->at : 0;
  if (!d->expected) {
    lua_pushfstring(d->L, "nested deeper than %d levels at byte %I",
                    MW_JSON_DEPTH_MAX, (LUAI_UACINT)offset);
    return;
  }
  if (d->at == d->end)
    snprintf(found, sizeof(found), "end of text");
  else if (byte > 0x20 && byte < 0x7F)
    snprintf(found, sizeof(found), "'%c'", byte);
  else
    snprintf(found, sizeof(found), "byte 0x%02X", byte);
  lua_pushfstring(d->L, "unexpected %s at byte %I, expected %s", found,
                  (LUAI_UACINT)offset, d->expected);
}

bool mw_json_decode(lua_State *L, const char *text, size_t length,
                    size_t *offset) {
  struct decoder d = {.L = L, .at = text, .end = text + length};
  int base = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  mw_array_mark_push(L);
  d.mark_index = base + 1;
  lua_pushnil(L);
  d.scratch_index = base + 2;
  bool decoded = read_text(&d);
  if (decoded) {
    lua_replace(L, base + 1);
    lua_settop(L, base + 1);
    return true;
  }
  lua_settop(L, base);
  *offset = (size_t)(d.at - text) + 1;
  push_failure(&d, *offset);
  return false;
}
