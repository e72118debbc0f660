#include "repl.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/lua_call.h"
#include "bindings/lua_exit.h"
#include "bindings/lua_loop.h"
#include "line_input.h"

static void turn_loop(void *user) {
  lua_State *L = user;
  mw_loop_turn(L, UV_RUN_NOWAIT);
  if (mw_calls(L)->dying)
    mw_exit(L, mw_calls(L)->status, false);
}

/* Pushes the prompt, anchored as long as it is needed. */
static const char *push_prompt(lua_State *L, bool first) {
  if (lua_getglobal(L, first ? "_PROMPT" : "_PROMPT2") == LUA_TNIL) {
    lua_pop(L, 1);
    return lua_pushstring(L, first ? "> " : ">> ");
  }
  luaL_tolstring(L, -1, NULL);
  lua_remove(L, -2);
  return lua_tostring(L, -1);
}

static int push_owned_line(lua_State *L) {
  lua_pushstring(L, lua_touserdata(L, 1));
  return 1;
}

/* Pushes the next line; returns false, and pushes nothing, at the end. */
static bool push_line(lua_State *L, const struct mw_line_input *input,
                      bool first) {
  char *line = mw_line_input_read(input, push_prompt(L, first));
  lua_pop(L, 1);
  if (!line)
    return false;
  lua_pushcfunction(L, push_owned_line);
  lua_pushlightuserdata(L, line);
  int status = lua_pcall(L, 1, 1, 0);
  free(line);
  if (status != LUA_OK)
    lua_error(L);
  if (first && *lua_tostring(L, -1) == '=') {
    lua_pushfstring(L, "return %s", lua_tostring(L, -1) + 1);
    lua_remove(L, -2);
  }
  return true;
}

/* Replaces the line on top of the stack by `return <line>;` as a function;
   returns false, and leaves the line, where that is no Lua. */
static bool load_expression(lua_State *L) {
  const char *code = lua_pushfstring(L, "return %s;", lua_tostring(L, -1));
  if (luaL_loadbuffer(L, code, strlen(code), "=stdin") != LUA_OK) {
    lua_pop(L, 2);
    return false;
  }
  mw_line_input_remember(lua_tostring(L, -3));
  lua_replace(L, -3);
  lua_pop(L, 1);
  return true;
}

/* Whether the syntax error on top of the stack is that the code ends early. */
static bool is_incomplete(lua_State *L, int status) {
  static const char mark[] = "<eof>";
  size_t length;
  const char *message = lua_tolstring(L, -1, &length);
  return status == LUA_ERRSYNTAX && length >= sizeof mark - 1 &&
         strcmp(message + length - (sizeof mark - 1), mark) == 0;
}

/* Replaces the line on top of the stack by a function, or by a message. */
static int load_statement(lua_State *L, const struct mw_line_input *input) {
  for (;;) {
    size_t length;
    const char *code = lua_tolstring(L, -1, &length);
    int status = luaL_loadbuffer(L, code, length, "=stdin");
    if (is_incomplete(L, status) && push_line(L, input, false)) {
      lua_remove(L, -2); /* the message */
      lua_pushliteral(L, "\n");
      lua_insert(L, -2);
      lua_concat(L, 3);
      continue;
    }
    mw_line_input_remember(lua_tostring(L, -2));
    lua_remove(L, -2);
    return status;
  }
}

/* The values on the stack, by way of the global `print`. */
static void print_results(lua_State *L) {
  int count = lua_gettop(L);
  if (count == 0)
    return;
  luaL_checkstack(L, LUA_MINSTACK, "too many results to print");
  lua_getglobal(L, "print");
  lua_insert(L, 1);
  if (lua_pcall(L, count, 0, 0) != LUA_OK)
    mw_message(mw_calls(L), lua_pushfstring(L, "error calling 'print' (%s)",
                                            lua_tostring(L, -1)));
}

static int run(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  lua_pushcfunction(L, mw_error_text);
  lua_insert(L, 1);
  calls->in_lua++;
  int status = lua_pcall(L, 0, LUA_MULTRET, 1);
  calls->in_lua--;
  lua_remove(L, 1);
  return status;
}

void mw_repl_run(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  const char *program = calls->program;
  const struct mw_line_input input = {calls->loop, turn_loop, L};
  calls->program = NULL; /* messages in a session carry no name */
  mw_line_input_open();
  lua_settop(L, 0);
  while (push_line(L, &input, true)) {
    int status = load_expression(L) ? LUA_OK : load_statement(L, &input);
    if (status == LUA_OK)
      status = run(L);
    if (status == LUA_OK)
      print_results(L);
    else
      mw_message(calls, lua_tostring(L, -1));
    lua_settop(L, 0);
  }
  putchar('\n');
  fflush(stdout);
  calls->program = program;
}
