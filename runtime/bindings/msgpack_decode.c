#include "bindings/msgpack_decode.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bindings/array_mark.h"
#include "bindings/key_load.h"
#include "bindings/msgpack_encode.h"

struct decoder {
  lua_State *L;
  const char *at;
  const char *end;
  const char *value;    /* where the latest value begins */
  const char *found;    /* after a failure, at `at`; NULL for the byte there */
  const char *expected; /* after a failure; NULL where the depth ends */
  uint64_t owed;        /* values that open arrays and maps have yet to get */
  int depth;
};

static bool fail(struct decoder *d, const char *at, const char *expected) {
  d->at = at;
  d->expected = expected;
  return false;
}

static size_t bytes_left(const struct decoder *d) {
  return (size_t)(d->end - d->at);
}

/* A big-endian number of `width` bytes, 8 at most. */
static bool take(struct decoder *d, unsigned width, uint64_t *value) {
  if (width > bytes_left(d))
    return fail(d, d->end, "the rest of the value");
  uint64_t bits = 0;
  for (unsigned i = 0; i < width; i++)
    bits = bits << 8 | (unsigned char)d->at[i];
  d->at += width;
  *value = bits;
  return true;
}

static bool read_unsigned(struct decoder *d, unsigned width) {
  uint64_t value;
  if (!take(d, width, &value))
    return false;
  if (value <= INT64_MAX)
    lua_pushinteger(d->L, (lua_Integer)value);
  else
    lua_pushnumber(d->L, (lua_Number)value);
  return true;
}

static bool read_signed(struct decoder *d, unsigned width) {
  uint64_t value;
  if (!take(d, width, &value))
    return false;
  uint64_t sign = UINT64_C(1) << (8 * width - 1);
  lua_pushinteger(d->L, (lua_Integer)((value ^ sign) - sign));
  return true;
}

static bool read_float(struct decoder *d) {
  uint64_t value;
  float real;
  if (!take(d, sizeof(real), &value))
    return false;
  uint32_t bits = (uint32_t)value;
  memcpy(&real, &bits, sizeof(real));
  lua_pushnumber(d->L, (lua_Number)real);
  return true;
}

static bool read_double(struct decoder *d) {
  uint64_t bits;
  double real;
  if (!take(d, sizeof(real), &bits))
    return false;
  memcpy(&real, &bits, sizeof(real));
  lua_pushnumber(d->L, real);
  return true;
}

static bool read_string(struct decoder *d, size_t length) {
  if (length > bytes_left(d))
    return fail(d, d->end, "the rest of the string");
  lua_pushlstring(d->L, d->at, length);
  d->at += length;
  return true;
}

/* Every value takes a byte at least. So what the open arrays and maps claim
   together is never more than there are bytes, and room for it can be made at
   once. */
static bool open_table(struct decoder *d, uint64_t values, const char *rest) {
  if (d->depth == MW_MSGPACK_DEPTH_MAX)
    return fail(d, d->value, NULL);
  if (d->owed + values > bytes_left(d))
    return fail(d, d->end, rest);
  luaL_checkstack(d->L, 6, "a message is nested too deep");
  d->owed += values;
  d->depth++;
  return true;
}

static bool read_value(struct decoder *d);

static bool read_array(struct decoder *d, uint32_t count) {
  if (!open_table(d, count, "the rest of the array"))
    return false;
  lua_createtable(d->L, (int)count, 0);
  int table = lua_gettop(d->L);
  if (count == 0) {
    mw_array_mark_push(d->L);
    lua_setmetatable(d->L, table);
  }
  for (lua_Integer i = 1; i <= count; i++) {
    d->owed--;
    if (!read_value(d))
      return false;
    lua_rawseti(d->L, table, i);
  }
  d->depth--;
  return true;
}

static bool is_key(unsigned tag) {
  if (tag < 0xC0)
    return tag < 0x80 || tag >= 0xA0;
  if (tag >= 0xD9)
    return tag <= 0xDB || tag >= 0xE0;
  return tag != 0xC0 && (tag < 0xC7 || tag > 0xC9) && tag < 0xD4;
}

static bool is_nan(lua_State *L, int index) {
  if (lua_type(L, index) != LUA_TNUMBER)
    return false;
  lua_Number value = lua_tonumber(L, index);
  return value != value;
}

static bool read_key(struct decoder *d) {
  if (d->at < d->end && !is_key((unsigned char)*d->at))
    return fail(d, d->at, "a string, a number or a boolean as key");
  if (!read_value(d))
    return false;
  if (is_nan(d->L, -1))
    return fail(d, d->value, "a key that is not NaN");
  return true;
}

static bool read_pairs(struct decoder *d, int table, uint32_t count,
                       struct mw_key_load *load) {
  for (; count > 0; count--) {
    d->owed -= 2;
    if (!read_key(d))
      return false;
    if (load && !mw_key_load_add(d->L, load, -1))
      return fail(d, d->value, "keys that do not all collide");
    if (!read_value(d))
      return false;
    lua_rawset(d->L, table);
  }
  return true;
}

static bool read_large_map(struct decoder *d, int table, uint32_t count) {
  struct mw_key_load load;
  mw_key_load_start(d->L, &load, count);
  if (!read_pairs(d, table, count, &load))
    return false;
  lua_settop(d->L, table);
  return true;
}

static bool read_map(struct decoder *d, uint32_t count) {
  if (!open_table(d, (uint64_t)count * 2, "the rest of the map"))
    return false;
  lua_createtable(d->L, 0, (int)count);
  int table = lua_gettop(d->L);
  if (count > MW_KEY_LOAD_FREE ? !read_large_map(d, table, count)
                               : !read_pairs(d, table, count, NULL))
    return false;
  d->depth--;
  return true;
}

static bool read_long_string(struct decoder *d, unsigned width) {
  uint64_t length;
  return take(d, width, &length) && read_string(d, (size_t)length);
}

static bool read_long_array(struct decoder *d, unsigned width) {
  uint64_t count;
  return take(d, width, &count) && read_array(d, (uint32_t)count);
}

static bool read_long_map(struct decoder *d, unsigned width) {
  uint64_t count;
  return take(d, width, &count) && read_map(d, (uint32_t)count);
}

/* The tags from 0xC0 to 0xDF; the widths are powers of two in a row. */
static bool read_tagged(struct decoder *d, unsigned tag) {
  switch (tag) {
  case 0xC0: lua_pushlightuserdata(d->L, NULL); return true;
  case 0xC1: return fail(d, d->value, "a value");
  case 0xC2:
  case 0xC3: lua_pushboolean(d->L, tag == 0xC3); return true;
  case 0xC4:
  case 0xC5:
  case 0xC6: return read_long_string(d, 1U << (tag - 0xC4));
  case 0xCA: return read_float(d);
  case 0xCB: return read_double(d);
  case 0xCC:
  case 0xCD:
  case 0xCE:
  case 0xCF: return read_unsigned(d, 1U << (tag - 0xCC));
  case 0xD0:
  case 0xD1:
  case 0xD2:
  case 0xD3: return read_signed(d, 1U << (tag - 0xD0));
  case 0xD9:
  case 0xDA:
  case 0xDB: return read_long_string(d, 1U << (tag - 0xD9));
  case 0xDC:
  case 0xDD: return read_long_array(d, 2U << (tag - 0xDC));
  case 0xDE:
  case 0xDF: return read_long_map(d, 2U << (tag - 0xDE));
  default:
    d->found = "extension type";
    return fail(d, d->value, "a value that Lua has");
  }
}

static bool read_value(struct decoder *d) {
  if (d->at == d->end)
    return fail(d, d->end, "a value");
  d->value = d->at;
  unsigned tag = (unsigned char)*d->at++;
  if (tag < 0x80) {
    lua_pushinteger(d->L, (lua_Integer)tag);
    return true;
  }
  if (tag < 0x90)
    return read_map(d, tag & 0x0F);
  if (tag < 0xA0)
    return read_array(d, tag & 0x0F);
  if (tag < 0xC0)
    return read_string(d, tag & 0x1F);
  if (tag < 0xE0)
    return read_tagged(d, tag);
  lua_pushinteger(d->L, (lua_Integer)tag - 0x100);
  return true;
}

static bool read_message(struct decoder *d) {
  if (!read_value(d))
    return false;
  return d->at == d->end || fail(d, d->at, "the end of the message");
}

static void push_failure(const struct decoder *d, size_t offset) {
  char byte[16];
  const char *found = d->found;
  if (!d->expected) {
    lua_pushfstring(d->L, "nested deeper than %d levels at byte %I",
                    MW_MSGPACK_DEPTH_MAX, (LUAI_UACINT)offset);
    return;
  }
  if (d->at == d->end) {
    found = "end of message";
  } else if (!found) {
    snprintf(byte, sizeof(byte), "byte 0x%02X", (unsigned char)*d->at);
    found = byte;
  }
  lua_pushfstring(d->L, "unexpected %s at byte %I, expected %s", found,
                  (LUAI_UACINT)offset, d->expected);
}

bool mw_msgpack_decode(lua_State *L, const char *bytes, size_t length,
                       size_t *offset) {
  struct decoder d = {.L = L, .at = bytes, .end = bytes + length};
  int base = lua_gettop(L);
  luaL_checkstack(L, LUA_MINSTACK, NULL);
  if (length > MW_MSGPACK_SIZE_MAX) {
    *offset = (size_t)MW_MSGPACK_SIZE_MAX + 1;
    lua_pushfstring(L, "larger than %d bytes", MW_MSGPACK_SIZE_MAX);
    return false;
  }
  if (read_message(&d))
    return true;
  lua_settop(L, base);
  *offset = (size_t)(d.at - bytes) + 1;
  push_failure(&d, *offset);
  return false;
}
