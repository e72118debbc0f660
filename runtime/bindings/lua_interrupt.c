#include "bindings/lua_interrupt.h"

#include <errno.h>
#include <lauxlib.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct mw_calls *watched; /* a signal handler has no argument of ours */

static void install(int signum, void (*handler)(int)) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  sigemptyset(&action.sa_mask);
  /* As in lua.c, SIGINT ends a read from standard input. */
  action.sa_flags = signum == SIGINT ? 0 : SA_RESTART;
  sigaction(signum, &action, NULL);
}

/* lua_sethook is the one function that a handler may call (lua.c does). */
static void hook_lua(lua_Hook hook) {
  int mask = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;
  lua_sethook(watched->main, hook, mask, 1);
  if (watched->running)
    lua_sethook(watched->running, hook, mask, 1);
}

static void unhook_lua(void) {
  lua_sethook(watched->main, NULL, 0, 0);
  if (watched->running)
    lua_sethook(watched->running, NULL, 0, 0);
}

static void on_sigint(int signum);

static void raise_interrupted(lua_State *L, lua_Debug *ar) {
  (void)ar;
  unhook_lua();
  install(SIGINT, on_sigint);
  luaL_error(L, "interrupted!");
}

static void on_sigint(int signum) {
  install(signum, SIG_DFL); /* a second one ends the process */
  if (watched->in_lua)
    hook_lua(raise_interrupted);
  else
    raise(signum);
}

/* The hook does not reach the coroutine that prints: SIGPIPEs since it was
   set. At this many the program is taken for an endless loop. */
#define MOST_UNSEEN 1000
static volatile sig_atomic_t unseen;

static void raise_broken_stdout(lua_State *L, lua_Debug *ar) {
  (void)ar;
  unhook_lua();
  unseen = 0;
  if (ferror(stdout)) {
    clearerr(stdout);
    luaL_error(L, "EPIPE: broken pipe, write stdout");
  }
}

static bool is_stdout_broken(void) {
  struct pollfd asked = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&asked, 1, 0) == 1 && (asked.revents & (POLLERR | POLLHUP));
}

static void on_sigpipe(int signum) {
  int error = errno;
  if (watched->in_lua && is_stdout_broken()) {
    hook_lua(raise_broken_stdout);
    if (++unseen == MOST_UNSEEN) {
      install(signum, SIG_DFL);
      raise(signum);
    }
  }
  errno = error;
}

void mw_interrupt_install(struct mw_calls *calls) {
  watched = calls;
  install(SIGINT, on_sigint);
  install(SIGPIPE, on_sigpipe);
}

void mw_interrupt_restore(int signum) {
  struct sigaction current;
  if (signum != SIGINT && signum != SIGPIPE)
    return;
  if (sigaction(signum, NULL, &current) == 0 && current.sa_handler == SIG_DFL)
    install(signum, signum == SIGINT ? on_sigint : on_sigpipe);
}
