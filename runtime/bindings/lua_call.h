/*
 * Every call from C into Lua goes through here, so that there is one policy
 * for errors, one place that runs the tick queue, and one record of what is
 * under way. Owns `struct mw_calls`, one per main state, which lives as long
 * as the state. Used by luv (as its callback routine), by the bindings and by
 * the host; all on the loop's thread.
 */
#ifndef MW_BINDINGS_LUA_CALL_H
#define MW_BINDINGS_LUA_CALL_H

#include <lua.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* The functions that Lua modules put in to be called from C. */
enum mw_hook {
  MW_HOOK_TICK,        /* () : runs all that waits in the tick queue */
  MW_HOOK_UNCAUGHT,    /* (err, origin, traceback) -> true where handled */
  MW_HOOK_BEFORE_EXIT, /* (status) : the loop is empty, about to exit */
  MW_HOOK_EXIT,        /* (status) -> status : handlers, then flushing */
  MW_HOOK_START,       /* () : a worker begins, in what its server has loaded */
  MW_HOOK_COUNT
};

struct mw_calls {
  lua_State *main;              /* the main thread of the state */
  lua_State *running;           /* the task being resumed, or NULL */
  uv_loop_t *loop;              /* the one loop; owned by the host */
  const char *program;          /* stands in front of messages on stderr */
  uint64_t started;             /* uv_hrtime() of its making */
  int depth;                    /* callbacks under way, 0 in the main script */
  int handlers;                 /* event handlers under way, a part of these */
  bool reporting;               /* a listener of `uncaught_exception` runs */
  bool turning;                 /* the loop runs for a main script that waits */
  int status;                   /* the exit status, once `dying` */
  bool dying;                   /* no callback enters Lua any more */
  bool loopless;                /* a fork server: its workers have the loop */
  bool tick_requested;          /* the tick queue is not empty */
  volatile sig_atomic_t in_lua; /* 0 while the loop waits or runs C */
};

/** Makes the record for a new state. Raises a memory error only. */
struct mw_calls *mw_calls_open(lua_State *L, uv_loop_t *loop,
                               const char *program);

/** Makes it that of a worker, which has a loop and its own name and age. */
void mw_calls_restart(lua_State *L, const char *program);

/** The record of the state that `L` (any of its coroutines) belongs to. */
struct mw_calls *mw_calls(lua_State *L);

/** The loop of the state that `L` belongs to. */
uv_loop_t *mw_loop(lua_State *L);

/** Raises where the loop can't be used, `what` being the function called. */
void mw_check_loop(lua_State *L, const char *what);

/**
 * Calls the function that lies below its `nargs` arguments on the main
 * state's stack, from outside Lua; afterwards runs the tick queue, where this
 * is the outermost call. An error goes to mw_uncaught(). Never raises.
 *
 * Has the contract of luv_CFpcall (luv.h): returns the number of results left
 * on the stack, or the negated status of the failed call, with nothing left.
 */
int mw_call(lua_State *L, int nargs, int nresults, int flags);

/**
 * As lua_pcall(), with a handler that keeps the error value as it is and the
 * traceback beside it, ready for mw_uncaught().
 */
int mw_pcall(lua_State *L, int nargs, int nresults);

/**
 * The same for the chunks of the command line: to mw_uncaught() the error is
 * the value that was raised, but variables to be closed see, and stderr gets,
 * the text that `lua` makes of it (mw_error_text).
 */
int mw_pcall_as_lua(lua_State *L, int nargs, int nresults);

/** The message handler of `lua`: (err) -> text, in most cases with traceback.
 */
int mw_error_text(lua_State *L);

/**
 * Takes an error value off the stack that nobody caught, with the traceback
 * that mw_pcall() kept. Tells the listeners of `uncaught_exception`; without
 * any, prints it, marks the state as dying with status 1 (7 where a listener
 * fails itself, or does what nobody catches) and stops the loop. Returns
 * whether the program goes on.
 */
bool mw_uncaught(lua_State *L, const char *origin);

/** Keeps the value on top of the stack as the traceback, and pops it. */
void mw_keep_traceback(lua_State *L);

/** Pushes the traceback that was kept last, or nil. */
void mw_push_traceback(lua_State *L);

/** Runs the tick queue until it is empty; returns whether it ran anything. */
bool mw_drain_ticks(lua_State *L);

/** Pushes a hook, or nothing where there is none; returns whether it did. */
bool mw_push_hook(lua_State *L, enum mw_hook hook);

/** Pops a function or nil and makes it the hook. */
void mw_set_hook(lua_State *L, enum mw_hook hook);

/** Prints `program: message` on stderr, after what stdout still holds. */
void mw_message(const struct mw_calls *calls, const char *message);

#endif
