#include "bindings/lua_watchdog.h"

#include <errno.h>
#include <lauxlib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/signals.h"
#include "bindings/lua_call.h"

/* How long a report may take to go out, in milliseconds. */
#define PATIENCE 1000

/* A place is so many lines, each in so many bytes. */
#define MOST_LINES 3
#define PLACE_SIZE (MOST_LINES * (LUA_IDSIZE + 16))

/* A hook as it was before ours. */
struct hook {
  lua_State *L;
  lua_Hook function;
  int mask;
  int count;
};

/* A signal handler has no argument of ours. */
static struct {
  struct mw_calls *calls;
  int fd;
  timer_t timer;
  struct hook before[2];
  volatile sig_atomic_t hooked; /* of these, how many are set */
  volatile sig_atomic_t asked;  /* by the master, without a report since */
  char place[PLACE_SIZE];       /* where the last stall was, or empty */
} watchdog = {.fd = -1};

static char describe_key; /* registry: () -> the stacks of all that waits */

/* SIGRTMIN is a function call; nobody else in mwrun takes a real-time one. */
static int watchdog_signal(void) {
  return SIGRTMIN + 7;
}

/* hooks */

static void unhook(void) {
  for (int i = 0; i < watchdog.hooked; i++) {
    struct hook *before = &watchdog.before[i];
    lua_sethook(before->L, before->function, before->mask, before->count);
  }
  watchdog.hooked = 0;
}

/* lua_sethook may be called by a handler (lua.c does), and what reads a hook
   only reads. */
static void hook(lua_Hook function) {
  int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  lua_State *states[] = {watchdog.calls->main, watchdog.calls->running};
  if (watchdog.hooked > 0)
    return;
  for (size_t i = 0; i < 2 && states[i]; i++) {
    lua_State *L = states[i];
    watchdog.before[i] = (struct hook){L, lua_gethook(L), lua_gethookmask(L),
                                       lua_gethookcount(L)};
    watchdog.hooked = (sig_atomic_t)i + 1;
    lua_sethook(L, function, mask, 1);
  }
}

/* reports */

static void write_report(const char *text, size_t length) {
  struct mw_fd_item item = {.fd = watchdog.fd, .data = text, .len = length};
  mw_fd_drain(&item, 1, PATIENCE);
}

/* (stuck): runs protected. A NUL ends the report. */
static int report_all(lua_State *L) {
  lua_State *outer = watchdog.calls->main;
  luaL_Buffer text;
  luaL_traceback(L, L, NULL, 1);
  const char *own = lua_tostring(L, -1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &describe_key);
  lua_call(L, 0, 1);
  const char *waiting = luaL_tolstring(L, -1, NULL);
  if (L != outer)
    luaL_traceback(L, outer, "called from the main thread:", 0);
  else
    lua_pushliteral(L, "");
  const char *called = lua_tostring(L, -1);
  luaL_buffinit(L, &text);
  luaL_addstring(&text, own);
  if (*called) {
    luaL_addchar(&text, '\n');
    luaL_addstring(&text, called);
  }
  luaL_addstring(&text, waiting);
  luaL_addchar(&text, '\0');
  luaL_pushresult(&text);
  size_t length;
  const char *all = lua_tolstring(L, -1, &length);
  write_report(all, length);
  return 0;
}

static void report_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  unhook();
  watchdog.asked = 0;
  if (!lua_checkstack(L, LUA_MINSTACK))
    return;
  lua_pushcfunction(L, report_all);
  if (lua_pcall(L, 0, 0, 0) != LUA_OK)
    lua_pop(L, 1);
}

/* The innermost lines of Lua code, as far as the stacks tell: "line < line <
   line". Reads only; makes no strings. */
static size_t find_place(lua_State *L, char *place, size_t size) {
  lua_Debug ar;
  size_t length = 0;
  int found = 0;
  for (int level = 0; found < MOST_LINES && lua_getstack(L, level, &ar);
       level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0)
      continue;
    length +=
        (size_t)snprintf(place + length, size - length, "%s%s:%d",
                         found++ ? " < " : "", ar.short_src, ar.currentline);
  }
  return length;
}

static void stall_hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  unhook();
  find_place(L, watchdog.place, sizeof watchdog.place);
}

/* The hook had its chance: what runs is no Lua code, and so the stacks stand
   still. snprintf() of a string and a number allocates nothing. */
static void report_from_handler(void) {
  struct mw_calls *calls = watchdog.calls;
  char place[PLACE_SIZE] = "the event loop";
  char text[PLACE_SIZE + 64];
  if (!calls->running || !find_place(calls->running, place, sizeof place))
    find_place(calls->main, place, sizeof place);
  int length = snprintf(text, sizeof text,
                        "no Lua code runs: stuck in a call of %s", place);
  write_report(text, (size_t)length + 1);
}

static void on_signal(int signum, siginfo_t *info, void *context) {
  int error = errno;
  (void)signum;
  (void)context;
  if (info->si_code == SI_TIMER) {
    if (watchdog.calls->in_lua)
      hook(stall_hook);
  } else if (watchdog.asked++ == 0) {
    unhook(); /* a stall's, which has not run */
    hook(report_hook);
  } else {
    report_from_handler();
  }
  errno = error;
}

/* the module */

/* Lets system calls go on that the signal interrupts. */
static int install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigemptyset(&action.sa_mask);
  return sigaction(watchdog_signal(), &action, NULL);
}

/* open(fd, describe) -> true | nil, errname: from now on reports go to this
   descriptor, an empty one at once; `describe` returns text to be added. */
static int watchdog_open(lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_argcheck(L, watchdog.fd < 0, 1, "the watchdog is open already");
  lua_settop(L, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &describe_key);
  watchdog.calls = mw_calls(L);
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
                           .sigev_signo = watchdog_signal()};
  int code = mw_fd_claim(fd);
  if (code == 0 &&
      (install() || timer_create(CLOCK_MONOTONIC, &event, &watchdog.timer)))
    code = -errno;
  if (code != 0) {
    lua_pushnil(L);
    lua_pushstring(L, uv_err_name(code));
    return 2;
  }
  watchdog.fd = fd;
  write_report("", 1);
  lua_pushboolean(L, true);
  return 1;
}

/* expect(ms) -> place | nil: it is to be called again within this time; if it
   is not, the line that runs then is noted, and returned the next time. */
static int watchdog_expect(lua_State *L) {
  lua_Integer ms = luaL_checkinteger(L, 1);
  struct itimerspec time = {
      .it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};
  luaL_argcheck(L, watchdog.fd >= 0, 1, "the watchdog is not open");
  timer_settime(watchdog.timer, 0, &time, NULL);
  unhook();
  if (!watchdog.place[0])
    return 0;
  lua_pushstring(L, watchdog.place);
  watchdog.place[0] = '\0';
  return 1;
}

int luaopen_mw_core_watchdog(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"open", watchdog_open},
      {"expect", watchdog_expect},
      {NULL, NULL},
  };
  luaL_newlib(L, functions);
  lua_pushstring(L, mw_signals_name(watchdog_signal()));
  lua_setfield(L, -2, "signal");
  return 1;
}
