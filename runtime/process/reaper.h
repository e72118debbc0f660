/*
 * The reaper: learns of the end of children on a uv loop.
 *
 * Owns a SIGCHLD watcher, which exists while there are children, and a table
 * of the children it waits for, each a struct mw_child inside an object of the
 * caller or, for strays (process/fork_client), of its own. Waits for these pids
 * only; as pid 1, while it has any, it takes all others off the kernel too.
 * Called by lua_process and the cluster, on the loop's thread; one per loop.
 * Lives from mw_reaper_new until the loop has run the close callbacks that
 * mw_reaper_close asks for. Its handles keep `data` NULL, which tells them from
 * luv's.
 */
#ifndef MW_PROCESS_REAPER_H
#define MW_PROCESS_REAPER_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "process/spawn.h"

struct mw_reaper;

/**
 * A child that is waited for. The caller owns the memory, fills in the first
 * part, and keeps it until on_exit or mw_child_forget.
 */
struct mw_child {
  /* Comes once, never before the call that started it returned, and is the
   * last that is heard of the child. A `signum` > 0 has killed it, and status
   * is -1; else `status` is its exit status, or a negative uv code if somebody
   * else has reaped it. May free the child. */
  void (*on_exit)(struct mw_child *child, int status, int signum);
  void *user;

  pid_t pid; /* stays after the end, for messages only */

  /* private */
  struct mw_reaper *reaper;
  struct mw_child *next;
  struct mw_child **link; /* what points to this one; NULL: in no list */
  int wait_status;
  bool unreferenced;
  bool reaped;
  bool lost;
};

/** Makes a reaper; touches neither the loop nor the system. */
int mw_reaper_new(uv_loop_t *loop, struct mw_reaper **reaper);

/**
 * Lets go of all children, which run on, and closes the handles; the memory
 * goes with their close callbacks, at once if there never was a child. The
 * reaper must not be used any more.
 */
void mw_reaper_close(struct mw_reaper *reaper);

/** Whether a handle of the loop belongs to the reaper (NULL: false). */
bool mw_reaper_owns(const struct mw_reaper *reaper, const uv_handle_t *handle);

/**
 * Starts a child as mw_spawn does and waits for its end. 0, or a negative
 * code with the `stage`; then on_exit never comes.
 */
int mw_reaper_spawn(struct mw_reaper *reaper, struct mw_child *child,
                    const struct mw_spawn_options *options,
                    enum mw_spawn_stage *stage);

/**
 * Waits for a child of this process that was started elsewhere and may have
 * ended already.
 */
int mw_reaper_watch(struct mw_reaper *reaper, struct mw_child *child,
                    pid_t pid);

/** Whether the pid is still the child's: it has not been reaped. */
bool mw_child_is_running(const struct mw_child *child);

/** Sends a signal, 0 to probe (kill(2)); UV_ESRCH once the child is reaped. */
int mw_child_kill(struct mw_child *child, int signum);

/** Whether a running child keeps the loop alive; at first it does. */
void mw_child_set_referenced(struct mw_child *child, bool referenced);

/** Stops waiting; on_exit will not come. Harmless when it has. */
void mw_child_forget(struct mw_child *child);

#endif
