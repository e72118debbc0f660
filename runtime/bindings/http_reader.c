#include "bindings/http_reader.h"

#include <lauxlib.h>

#include "base/buffer.h"
#include "bindings/http_headers.h"
#include "http/body.h"

#define READER_TYPE "mw.core.http.reader"

struct reader {
  struct mw_buffer bytes; /* of a head that is not all there */
  size_t seen;
  size_t max_header_size;
  struct mw_http_body body;
};

int mw_http_reader_new(lua_State *L) {
  lua_Integer most = luaL_checkinteger(L, 1);
  struct reader *reader = lua_newuserdatauv(L, sizeof *reader, 0);
  *reader = (struct reader){.max_header_size = (size_t)most};
  luaL_setmetatable(L, READER_TYPE);
  return 1;
}

static struct reader *check(lua_State *L) {
  return luaL_checkudata(L, 1, READER_TYPE);
}

static int reader_gc(lua_State *L) {
  mw_buffer_free(&check(L)->bytes);
  return 0;
}

static void push_head(lua_State *L, const struct mw_http_head *head,
                      struct mw_http_span bytes) {
  lua_createtable(L, 0, 8);
  lua_pushinteger(L, head->status);
  lua_setfield(L, -2, "status_code");
  lua_pushlstring(L, head->reason.length ? head->reason.at : "",
                  head->reason.length);
  lua_setfield(L, -2, "status_message");
  lua_pushstring(L, head->minor ? "1.1" : "1.0");
  lua_setfield(L, -2, "http_version");
  lua_pushboolean(L, head->keep_alive);
  lua_setfield(L, -2, "keep_alive");
  lua_pushboolean(L, head->framing == MW_HTTP_UNTIL_END);
  lua_setfield(L, -2, "until_end");
  mw_push_http_headers(L, bytes);
  lua_setfield(L, -2, "headers");
  mw_push_http_raw_headers(L, bytes);
  lua_setfield(L, -2, "raw_headers");
}

/* head(bytes, to_head) -> head, rest; nil where there is more to come; false
   where it is no response. What has come so far is kept. */
static int reader_head(lua_State *L) {
  struct reader *reader = check(L);
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  struct mw_http_head head;
  if (!mw_buffer_append(&reader->bytes, bytes, length))
    return luaL_error(L, "not enough memory");
  struct mw_buffer *all = &reader->bytes;
  ptrdiff_t size = mw_http_head_find(all->bytes, all->length, &reader->seen);
  size_t known = size > 0 ? (size_t)size : all->length;
  if (size == 0 && known <= reader->max_header_size)
    return 0;
  if (size < 0 || known > reader->max_header_size ||
      mw_http_parse_response(all->bytes, known, lua_toboolean(L, 3), &head)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  push_head(L, &head, (struct mw_http_span){all->bytes, known});
  lua_pushlstring(L, all->bytes + known, all->length - known);
  mw_http_body_begin(&reader->body, &head);
  mw_buffer_free(all);
  reader->seen = 0;
  return 2;
}

/* body(bytes) -> piece, whether it is over, rest; nil where it can't be one */
static int reader_body(lua_State *L) {
  struct reader *reader = check(L);
  size_t length, offset = 0;
  const char *bytes = luaL_checklstring(L, 2, &length);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  while (!reader->body.over && offset < length) {
    struct mw_http_span piece;
    ptrdiff_t count = mw_http_body_take(&reader->body, bytes + offset,
                                        length - offset, &piece);
    if (count < 0)
      return 0;
    luaL_addlstring(&buffer, piece.at, piece.length);
    offset += (size_t)count;
  }
  luaL_pushresult(&buffer);
  lua_pushboolean(L, reader->body.over);
  lua_pushlstring(L, bytes + offset, length - offset);
  return 3;
}

void mw_http_reader_open_class(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"head", reader_head}, {"body", reader_body}, {NULL, NULL}};
  luaL_newmetatable(L, READER_TYPE);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, reader_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
}
