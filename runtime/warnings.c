#include "warnings.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

/* Where the next piece belongs is told by which function is set: a message that
   begins while warnings are off, or on, or one that goes on. */
static void begin_off(void *state, const char *text, int goes_on);
static void begin_on(void *state, const char *text, int goes_on);

/* Whether the message is one for us, and no warning. */
static bool obeys(lua_State *L, const char *text, int goes_on) {
  if (goes_on || *text != '@')
    return false;
  if (strcmp(text, "@on") == 0)
    lua_setwarnf(L, begin_on, L);
  else if (strcmp(text, "@off") == 0)
    lua_setwarnf(L, begin_off, L);
  return true;
}

static void go_on(void *state, const char *text, int goes_on) {
  lua_writestringerror("%s", text);
  if (!goes_on)
    lua_writestringerror("%s", "\n");
  lua_setwarnf(state, goes_on ? go_on : begin_on, state);
}

static void begin_on(void *state, const char *text, int goes_on) {
  if (obeys(state, text, goes_on))
    return;
  lua_writestringerror("%s", "Lua warning: ");
  go_on(state, text, goes_on);
}

static void begin_off(void *state, const char *text, int goes_on) {
  obeys(state, text, goes_on);
}

void mw_warnings_open(lua_State *L) {
  lua_setwarnf(L, begin_off, L);
}
