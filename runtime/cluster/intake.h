/*
 * The worker's end of the way on which it gets its connections: says of each
 * whether a server here takes it, and then gives it to that. Owns its
 * descriptor. Lives from mw_intake_open() to on_closed, which comes once, last,
 * after mw_intake_close() only. The loop's thread.
 */
#ifndef MW_CLUSTER_INTAKE_H
#define MW_CLUSTER_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct mw_intake;

struct mw_intake_events {
  /* The master has closed its end, or died. */
  void (*on_end)(void *user);
  void (*on_closed)(void *user);
};

/* A server, as the intake sees it. */
struct mw_sink {
  /* How many more connections it takes. */
  size_t (*room)(void *user);
  /* How many it has. */
  size_t (*open)(void *user);
  /* Takes one, which is non-blocking. It was within its room; or it was not,
     and `turns_away` is set. */
  void (*take)(void *user, int fd);
  /* It is asked nothing any more. */
  void (*released)(void *user);
  bool turns_away; /* it can tell a client that it is full */
};

/** Takes over `fd`, unless this fails. `counts`: tells what is open. */
int mw_intake_open(uv_loop_t *loop, int fd, bool counts,
                   const struct mw_intake_events *events, void *user,
                   struct mw_intake **intake);

/** Gives what comes for `key` to a server, until mw_intake_leave(). On failure
 * `released` does not follow. */
int mw_intake_serve(struct mw_intake *intake, uint32_t key,
                    const struct mw_sink *sink, void *user);

/** What comes for `key` from now on is refused. */
void mw_intake_leave(struct mw_intake *intake, uint32_t key);

/** Whether the loop is kept alive for `key`, as it is from the start. */
void mw_intake_set_referenced(struct mw_intake *intake, uint32_t key,
                              bool referenced);

/** Closes it; on_closed follows. May be called twice. */
void mw_intake_close(struct mw_intake *intake);

#endif
