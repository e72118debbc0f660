#include "bindings/msgpack_encode.h"

#include <lauxlib.h>
#include <stdint.h>
#include <string.h>

#include "bindings/array_mark.h"
#include "bindings/value_path.h"

_Static_assert(sizeof(lua_Integer) == sizeof(int64_t), "64-bit integers");
_Static_assert(sizeof(lua_Number) == sizeof(uint64_t), "double floats");
_Static_assert(MW_MSGPACK_SIZE_MAX == 256 << 20, "a sentence says 256 MiB");

enum {
  HEAD_SIZE = 5,   /* in front of a string, an array, a map */
  NUMBER_SIZE = 9, /* room is asked for the longest form */
  ROOM_MIN = 64,
  ROOM_MAX = MW_MSGPACK_SIZE_MAX + NUMBER_SIZE,
};

struct encoder {
  lua_State *L;
  struct mw_buffer *out; /* grows in length only when all is written */
  const char *root;
  char *at;    /* where to write, behind out's length */
  char *end;   /* of the room there */
  int message; /* stack index */
  int depth;
  struct mw_value_level levels[MW_MSGPACK_DEPTH_MAX];
};

/* Must be called where the levels still stand: the path is read from them. */
static bool fail(struct encoder *e, const char *what, const char *problem) {
  luaL_checkstack(e->L, LUA_MINSTACK, NULL);
  mw_value_path_push(e->L, e->root, e->levels, e->depth);
  lua_pushfstring(e->L, "cannot encode %s: %s %s", lua_tostring(e->L, -1), what,
                  problem);
  lua_replace(e->L, e->message);
  return false;
}

static bool fail_for_size(struct encoder *e) {
  return fail(e, "the message", "is larger than 256 MiB");
}

static size_t written(const struct encoder *e) {
  return (size_t)(e->at - e->out->bytes) - e->out->length;
}

static bool open_room(struct encoder *e, size_t used, size_t more) {
  if (more > ROOM_MAX - used)
    return fail_for_size(e);
  if (!mw_buffer_reserve(e->out, used + more))
    return fail(e, "the message", "needs more memory than there is");
  size_t room = e->out->capacity - e->out->length;
  char *start = e->out->bytes + e->out->length;
  e->at = start + used;
  e->end = start + (room < ROOM_MAX ? room : ROOM_MAX);
  return true;
}

static bool has_room(struct encoder *e, size_t more) {
  return more <= (size_t)(e->end - e->at) || open_room(e, written(e), more);
}

static char *put_8(char *to, unsigned tag, uint64_t value) {
  to[0] = (char)tag;
  to[1] = (char)value;
  return to + 2;
}

static char *put_16(char *to, unsigned tag, uint64_t value) {
  to[0] = (char)tag;
  to[1] = (char)(value >> 8);
  to[2] = (char)value;
  return to + 3;
}

static char *put_32(char *to, unsigned tag, uint64_t value) {
  to[0] = (char)tag;
  to[1] = (char)(value >> 24);
  to[2] = (char)(value >> 16);
  to[3] = (char)(value >> 8);
  to[4] = (char)value;
  return to + 5;
}

static char *put_64(char *to, unsigned tag, uint64_t value) {
  to = put_32(to, tag, value >> 32);
  to[0] = (char)(value >> 24);
  to[1] = (char)(value >> 16);
  to[2] = (char)(value >> 8);
  to[3] = (char)value;
  return to + 4;
}

static char *put_positive(char *to, uint64_t value) {
  if (value < 0x80) {
    *to = (char)value;
    return to + 1;
  }
  if (value <= UINT8_MAX)
    return put_8(to, 0xCC, value);
  if (value <= UINT16_MAX)
    return put_16(to, 0xCD, value);
  if (value <= UINT32_MAX)
    return put_32(to, 0xCE, value);
  return put_64(to, 0xCF, value);
}

static char *put_negative(char *to, int64_t value) {
  if (value >= -32) {
    *to = (char)value;
    return to + 1;
  }
  if (value >= INT8_MIN)
    return put_8(to, 0xD0, (uint64_t)value);
  if (value >= INT16_MIN)
    return put_16(to, 0xD1, (uint64_t)value);
  if (value >= INT32_MIN)
    return put_32(to, 0xD2, (uint64_t)value);
  return put_64(to, 0xD3, (uint64_t)value);
}

static bool write_byte(struct encoder *e, unsigned byte) {
  if (!has_room(e, 1))
    return false;
  *e->at++ = (char)byte;
  return true;
}

static bool write_number(struct encoder *e, int index) {
  if (!has_room(e, NUMBER_SIZE))
    return false;
  if (lua_isinteger(e->L, index)) {
    int64_t value = lua_tointeger(e->L, index);
    e->at = value >= 0 ? put_positive(e->at, (uint64_t)value)
                       : put_negative(e->at, value);
    return true;
  }
  double value = lua_tonumber(e->L, index);
  uint64_t bits;
  memcpy(&bits, &value, sizeof(bits));
  e->at = put_64(e->at, 0xCB, bits);
  return true;
}

static bool write_string(struct encoder *e, int index) {
  size_t length;
  const char *text = lua_tolstring(e->L, index, &length);
  if (length > MW_MSGPACK_SIZE_MAX)
    return fail_for_size(e);
  if (!has_room(e, HEAD_SIZE + length))
    return false;
  if (length < 32)
    *e->at++ = (char)(0xA0 | length);
  else if (length <= UINT8_MAX)
    e->at = put_8(e->at, 0xD9, length);
  else if (length <= UINT16_MAX)
    e->at = put_16(e->at, 0xDA, length);
  else
    e->at = put_32(e->at, 0xDB, length);
  memcpy(e->at, text, length);
  e->at += length;
  return true;
}

/* `small` is the tag for up to 15 items, with their number in it; `large` is
   the one before 16 bits, and the next one that before 32. */
static bool write_count(struct encoder *e, lua_Unsigned count, unsigned small,
                        unsigned large) {
  if (count > MW_MSGPACK_SIZE_MAX)
    return fail_for_size(e);
  if (!has_room(e, HEAD_SIZE))
    return false;
  if (count < 16)
    *e->at++ = (char)(small | count);
  else if (count <= UINT16_MAX)
    e->at = put_16(e->at, large, count);
  else
    e->at = put_32(e->at, large + 1, count);
  return true;
}

static bool write_value(struct encoder *e, int index);

static bool write_array(struct encoder *e, int index, lua_Unsigned count) {
  struct mw_value_level *level = &e->levels[e->depth - 1];
  int element = lua_gettop(e->L) + 1;
  level->key = 0;
  level->index = 0;
  if (!write_count(e, count, 0x90, 0xDC))
    return false;
  while (level->index < count) {
    level->index++;
    int type = lua_rawgeti(e->L, index, (lua_Integer)level->index);
    if (type == LUA_TNIL ? !write_byte(e, 0xC0) : !write_value(e, element))
      return false;
    lua_pop(e->L, 1);
  }
  return true;
}

static bool write_key(struct encoder *e, int key) {
  int type = lua_type(e->L, key);
  if (type == LUA_TSTRING)
    return write_string(e, key);
  if (type == LUA_TNUMBER || type == LUA_TBOOLEAN)
    return write_value(e, key);
  return fail(e, lua_typename(e->L, type), "keys have no MessagePack form");
}

static bool write_map(struct encoder *e, int index, lua_Unsigned count) {
  int key = lua_gettop(e->L) + 1;
  e->levels[e->depth - 1].key = key;
  lua_pushnil(e->L);
  if (!write_count(e, count, 0x80, 0xDE))
    return false;
  while (lua_next(e->L, index)) {
    if (!write_key(e, key) || !write_value(e, key + 1))
      return false;
    count--;
    lua_pop(e->L, 1);
  }
  if (count == 0)
    return true;
  e->depth--; /* Lua had to collect garbage to grow its stack */
  return fail(e, "the table", "is weak and has lost entries meanwhile");
}

/* Counts the pairs. When there are as many as the border says, and all keys
   are integers up to it, then they are 1..n. */
static bool is_sequence(lua_State *L, int index, lua_Unsigned *count) {
  lua_Unsigned length = lua_rawlen(L, index);
  lua_Unsigned pairs = 0;
  bool is_array = length > 0;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pop(L, 1);
    pairs++;
    if (is_array && (!lua_isinteger(L, -1) ||
                     (lua_Unsigned)lua_tointeger(L, -1) - 1 >= length))
      is_array = false;
  }
  *count = pairs;
  return is_array && pairs == length;
}

static bool write_items(struct encoder *e, int index) {
  lua_Unsigned count;
  if (mw_array_is_marked(e->L, index))
    return write_array(e, index, lua_rawlen(e->L, index));
  if (is_sequence(e->L, index, &count))
    return write_array(e, index, count);
  return write_map(e, index, count);
}

static bool write_table(struct encoder *e, int index) {
  const void *table = lua_topointer(e->L, index);
  for (int i = 0; i < e->depth; i++)
    if (e->levels[i].table == table)
      return fail(e, "the table", "contains itself");
  if (e->depth == MW_MSGPACK_DEPTH_MAX)
    return fail(e, "the table", "is nested too deep");
  if (!lua_checkstack(e->L, 4))
    return fail(e, "the table", "finds no room on the Lua stack");
  e->levels[e->depth++] = (struct mw_value_level){.table = table};
  if (!write_items(e, index))
    return false;
  e->depth--;
  return true;
}

static bool write_value(struct encoder *e, int index) {
  int type = lua_type(e->L, index);
  switch (type) {
  case LUA_TBOOLEAN:
    return write_byte(e, lua_toboolean(e->L, index) ? 0xC3 : 0xC2);
  case LUA_TNUMBER: return write_number(e, index);
  case LUA_TSTRING: return write_string(e, index);
  case LUA_TTABLE: return write_table(e, index);
  case LUA_TLIGHTUSERDATA:
    if (!lua_touserdata(e->L, index))
      return write_byte(e, 0xC0);
    break;
  default: break;
  }
  return fail(e, lua_typename(e->L, type), "values have no MessagePack form");
}

static bool write_message(struct encoder *e, int index) {
  if (!open_room(e, 0, ROOM_MIN) || !write_value(e, index))
    return false;
  if (written(e) > MW_MSGPACK_SIZE_MAX)
    return fail_for_size(e);
  e->out->length += written(e);
  return true;
}

bool mw_msgpack_encode(lua_State *L, int index, const char *root,
                       struct mw_buffer *out) {
  struct encoder e;
  index = lua_absindex(L, index);
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  e.L = L;
  e.out = out;
  e.root = root;
  e.message = lua_gettop(L);
  e.depth = 0;
  bool encoded = write_message(&e, index);
  lua_settop(L, encoded ? e.message - 1 : e.message);
  return encoded;
}
