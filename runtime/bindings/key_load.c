#include "bindings/key_load.h"

#include <limits.h>
#include <math.h>
#include <string.h>

/* What MW_KEY_LOAD_FREE keys in one chain take; and for every key far more
   than the half a step that keys take by chance. */
enum {
  STEPS_FREE = MW_KEY_LOAD_FREE * MW_KEY_LOAD_FREE / 2,
  STEPS_PER_KEY = 16,
};

void mw_key_load_start(lua_State *L, struct mw_key_load *load, size_t count) {
  size_t size = 1;
  while (size < count)
    size *= 2;
  load->chains = lua_newuserdatauv(L, size * sizeof(*load->chains), 0);
  memset(load->chains, 0, size * sizeof(*load->chains));
  load->size = size;
  load->steps = STEPS_FREE + count * STEPS_PER_KEY;
}

static uint64_t float_hash(double value) {
  int exponent;
  if (!isfinite(value))
    return 0;
  double scaled = frexp(value, &exponent) * -(double)INT_MIN;
  unsigned hash = (unsigned)exponent + (unsigned)(int64_t)scaled;
  return hash <= INT_MAX ? hash : ~hash;
}

bool mw_key_load_add(lua_State *L, struct mw_key_load *load, int index) {
  if (lua_type(L, index) != LUA_TNUMBER)
    return true;
  uint64_t hash = lua_isinteger(L, index) ? (uint64_t)lua_tointeger(L, index)
                                          : float_hash(lua_tonumber(L, index));
  size_t steps = load->chains[hash % (load->size - 1)]++;
  if (steps > load->steps)
    return false;
  load->steps -= steps;
  return true;
}
