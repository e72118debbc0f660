#include "host.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/pool.h"
#include "bindings/lua_acceptor.h"
#include "bindings/lua_call.h"
#include "bindings/lua_channel.h"
#include "bindings/lua_dispatcher.h"
#include "bindings/lua_exit.h"
#include "bindings/lua_http.h"
#include "bindings/lua_intake.h"
#include "bindings/lua_interrupt.h"
#include "bindings/lua_loop.h"
#include "bindings/lua_process.h"
#include "bindings/lua_stranger.h"
#include "cli.h"
#include "preload.h"
#include "process/fork_server.h"
#include "process/parent_death.h"
#include "process/title.h"
#include "state.h"

struct host {
  uv_loop_t loop;
  struct mw_pool pool;
  lua_State *L;
  struct mw_fork_server server; /* where this process was started as one */
  bool is_worker;               /* made by it */
  const char *program;          /* as in messages: the name it was called by */
  int argc;
  char **argv;
};

/* The loop, until nothing keeps it alive and nobody has anything to add. */
static void run_loop(lua_State *L) {
  struct mw_calls *calls = mw_calls(L);
  do {
    while (mw_loop_turn(L, UV_RUN_DEFAULT) && !calls->dying)
      ;
    if (!calls->dying && mw_push_hook(L, MW_HOOK_BEFORE_EXIT))
      mw_call(L, 0, 0, 0);
  } while (!calls->dying &&
           (calls->tick_requested || uv_loop_alive(calls->loop)));
}

static void begin_program(lua_State *L, const struct host *host) {
  if (host->is_worker) {
    mw_calls_restart(L, host->program);
    mw_preload_become_worker(L);
  } else {
    mw_calls_open(L, (uv_loop_t *)&host->loop, host->program);
  }
  mw_interrupt_install(mw_calls(L));
}

/* (host) -> status; runs protected, so that even a lack of memory while the
   libraries open has a place to go. */
static int run_program(lua_State *L) {
  struct host *host = lua_touserdata(L, 1);
  lua_settop(L, 0);
  luaL_checkversion(L);
  begin_program(L, host);
  struct mw_calls *calls = mw_calls(L);
  struct mw_inherited_channel inherited = mw_inherited_channel_take();
  mw_parent_death_watch(inherited.flush_timeout);
  mw_channel_set_inherited(L, inherited);
  enum mw_cli_outcome outcome =
      mw_cli_run(L, host->argc, host->argv, host->is_worker);
  if (outcome == MW_CLI_RUN)
    run_loop(L);
  int status = outcome == MW_CLI_FAIL ? EXIT_FAILURE : MW_NATURAL_END;
  status = mw_run_exit_hook(L, calls->dying ? calls->status : status);
  calls->dying = true;
  calls->status = status;
  lua_pushinteger(L, status);
  return 1;
}

/* (host) -> whether this is a worker now */
static int serve(lua_State *L) {
  struct host *host = lua_touserdata(L, 1);
  lua_settop(L, 0);
  mw_calls_open(L, &host->loop, host->program);
  lua_pushboolean(L, mw_preload_run(L, &host->server, host->argv));
  return 1;
}

/* A fork server comes back from here as one of its workers, or at its end,
   with nothing left but its state. */
static bool become_worker(struct host *host) {
  const struct mw_fork_request *request = &host->server.request;
  lua_pushcfunction(host->L, serve);
  lua_pushlightuserdata(host->L, host);
  host->is_worker =
      lua_pcall(host->L, 1, 1, 0) == LUA_OK && lua_toboolean(host->L, -1);
  if (!host->is_worker) {
    mw_fork_server_close(&host->server);
    return false;
  }
  host->argc = request->argc;
  host->argv = (char **)request->options.argv;
  mw_title_show(host->argv, host->program);
  host->program = host->argv[0];
  return true;
}

/* Closes what is open on the loop, and gives the close callbacks their turn.
   Nothing of Lua runs any more, but luv still has to free its handles: those
   whose callback has not run by lua_close() would be freed under the loop. */
static void close_handles(struct host *host) {
  mw_process_close(host->L);
  mw_strangers_close(host->L);
  mw_channels_close(host->L);
  mw_dispatchers_close(host->L);
  mw_intakes_close(host->L);
  mw_acceptors_close(host->L);
  mw_http_servers_close(host->L);
  mw_close_luv_handles(host->L);
  uv_run(&host->loop, UV_RUN_NOWAIT); /* may do no more than obey uv_stop() */
  uv_run(&host->loop, UV_RUN_NOWAIT);
}

static int fail(const struct host *host, const char *what, const char *why) {
  fprintf(stderr, "%s: cannot %s: %s\n", host->program, what, why);
  return EXIT_FAILURE;
}

int mw_host_run(int argc, char **argv) {
  bool named = argc > 0 && argv[0][0];
  struct host host = {.argc = argc, .argv = argv};
  host.program = named ? argv[0] : "mwrun";
  host.server = mw_fork_server_take();
  mw_pool_open(&host.pool);
  host.L = mw_state_new(&host.pool);
  if (!host.L)
    return fail(&host, "create state", "not enough memory");
  if (host.server.socket >= 0 && !become_worker(&host))
    exit(EXIT_SUCCESS); /* finalizers are for its workers to run */
  int error = uv_loop_init(&host.loop);
  if (error) {
    lua_close(host.L);
    return fail(&host, "open an event loop", uv_strerror(error));
  }
  lua_pushcfunction(host.L, run_program);
  lua_pushlightuserdata(host.L, &host);
  int status = EXIT_FAILURE;
  if (lua_pcall(host.L, 1, 1, 0) == LUA_OK)
    status = (int)lua_tointeger(host.L, -1);
  else
    fprintf(stderr, "%s: %s\n", host.program, lua_tostring(host.L, -1));
  lua_settop(host.L, 0);
  close_handles(&host);
  lua_close(host.L);
  mw_pool_close(&host.pool);
  uv_run(&host.loop, UV_RUN_NOWAIT);
  uv_loop_close(&host.loop);
  return status;
}
