#include "bindings/lua_scratch.h"

#define CAPACITY_KEPT (64 * 1024)

struct scratch {
  struct mw_buffer buffer;
  size_t kept; /* the capacity that stays for the next call */
};

/* The finalizers that run after this one may still take it. */
static int scratch_gc(lua_State *L) {
  struct scratch *scratch = lua_touserdata(L, 1);
  mw_buffer_free(&scratch->buffer);
  scratch->kept = 0;
  return 0;
}

void mw_scratch_push(lua_State *L) {
  struct scratch *scratch = lua_newuserdatauv(L, sizeof(*scratch), 0);
  *scratch = (struct scratch){.kept = CAPACITY_KEPT};
  lua_createtable(L, 0, 1);
  lua_pushcfunction(L, scratch_gc);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
}

struct mw_buffer *mw_scratch_take(lua_State *L, int index) {
  struct scratch *scratch = lua_touserdata(L, index);
  scratch->buffer.length = 0;
  return &scratch->buffer;
}

void mw_scratch_drop(lua_State *L, int index) {
  struct scratch *scratch = lua_touserdata(L, index);
  if (scratch->buffer.capacity > scratch->kept)
    mw_buffer_free(&scratch->buffer);
}
