#include "host.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/pool.h"
#include "bindings/lua_call.h"
#include "bindings/lua_channel.h"
#include "bindings/lua_dispatcher.h"
#include "bindings/lua_exit.h"
#include "bindings/lua_http.h"
#include "bindings/lua_intake.h"
#include "bindings/lua_interrupt.h"
#include "bindings/lua_loop.h"
#include "bindings/lua_process.h"
#include "cli.h"
#include "process/parent_death.h"
#include "state.h"

struct host {
  uv_loop_t loop;
  struct mw_pool pool;
  lua_State *L;
  const char *program; /* as in messages: the name it was called by */
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

/* (host) -> status; runs protected, so that even a lack of memory while the
   libraries open has a place to go. */
static int run_program(lua_State *L) {
  struct host *host = lua_touserdata(L, 1);
  lua_settop(L, 0);
  luaL_checkversion(L);
  struct mw_calls *calls = mw_calls_open(L, &host->loop, host->program);
  mw_interrupt_install(calls);
  struct mw_inherited_channel inherited = mw_inherited_channel_take();
  mw_parent_death_watch(inherited.flush_timeout);
  mw_channel_set_inherited(L, inherited);
  enum mw_cli_outcome outcome = mw_cli_run(L, host->argc, host->argv);
  if (outcome == MW_CLI_RUN)
    run_loop(L);
  int status = outcome == MW_CLI_FAIL ? EXIT_FAILURE : MW_NATURAL_END;
  status = mw_run_exit_hook(L, calls->dying ? calls->status : status);
  calls->dying = true;
  lua_pushinteger(L, status);
  return 1;
}

/* Closes what is open on the loop, and gives the close callbacks their turn.
   Nothing of Lua runs any more, but luv still has to free its handles: those
   whose callback has not run by lua_close() would be freed under the loop. */
static void close_handles(struct host *host) {
  mw_process_close(host->L);
  mw_channels_close(host->L);
  mw_dispatchers_close(host->L);
  mw_intakes_close(host->L);
  mw_http_servers_close(host->L);
  mw_close_luv_handles(host->L);
  uv_run(&host->loop, UV_RUN_NOWAIT); /* may do no more than obey uv_stop() */
  uv_run(&host->loop, UV_RUN_NOWAIT);
}

int mw_host_run(int argc, char **argv) {
  bool named = argc > 0 && argv[0][0];
  struct host host = {.argc = argc, .argv = argv};
  host.program = named ? argv[0] : "mwrun";
  int error = uv_loop_init(&host.loop);
  if (error) {
    fprintf(stderr, "%s: cannot open an event loop: %s\n", host.program,
            uv_strerror(error));
    return EXIT_FAILURE;
  }
  mw_pool_open(&host.pool);
  host.L = mw_state_new(&host.pool);
  if (!host.L) {
    fprintf(stderr, "%s: cannot create state: not enough memory\n",
            host.program);
    uv_loop_close(&host.loop);
    return EXIT_FAILURE;
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
