/*
 * A process that is no child of ours: tells its end, and sends it signals that
 * reach this process or none, whoever has its pid by then (pidfd_open(2)). How
 * it has ended, only its parent hears. Owns the descriptor and one handle,
 * whose `data` stays NULL. Lives from mw_stranger_watch() to on_closed, which
 * comes once, last, after mw_stranger_close() only. Used by lua_stranger; the
 * loop's thread. Linux, from 5.3 on.
 */
#ifndef MW_PROCESS_STRANGER_H
#define MW_PROCESS_STRANGER_H

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct mw_stranger;

/* It may be closed in on_end. */
struct mw_stranger_events {
  /* It has ended. Comes once, never before the call that watches it returned.
   */
  void (*on_end)(void *user);
  void (*on_closed)(void *user);
};

/**
 * A descriptor that stands for the process, close-on-exec: whatever is read
 * about the pid afterwards, while it has not ended, is about this process. May
 * be handed on through exec. Negative uv codes: UV_ESRCH where there is none.
 */
int mw_stranger_find(pid_t pid);

/** Takes over such a descriptor, unless this fails. Keeps the loop alive. */
int mw_stranger_watch(uv_loop_t *loop, int fd,
                      const struct mw_stranger_events *events, void *user,
                      struct mw_stranger **stranger);

/** The descriptor; it stays the stranger's. */
int mw_stranger_fd(const struct mw_stranger *stranger);

/** Sends a signal, 0 to probe; UV_ESRCH once it has ended. */
int mw_stranger_kill(const struct mw_stranger *stranger, int signum);

/** Whether it keeps the loop alive as long as it runs. */
void mw_stranger_set_referenced(struct mw_stranger *stranger, bool referenced);

/** Lets go of it; on_closed follows. May be called twice. */
void mw_stranger_close(struct mw_stranger *stranger);

#endif
