/*
 * Deadlines of many objects by one timer: lists in order of time, for kinds of
 * deadlines that all take equally long, so that a new one belongs at the end.
 * Owns the timer, which never keeps the loop alive; the links stand in the
 * objects. Used by a server for its connections; the loop's thread.
 */
#ifndef MW_HTTP_DEADLINES_H
#define MW_HTTP_DEADLINES_H

#include <stdint.h>
#include <uv.h>

#include "base/list.h"

enum { MW_DEADLINE_KINDS = 7 };

struct mw_deadline {
  struct mw_link link; /* to be initialised by mw_deadline_init() */
  uint64_t at;         /* of uv_now() */
};

struct mw_deadlines {
  uv_timer_t timer;
  uint64_t armed_for; /* 0 where the timer is off */
  struct mw_link lists[MW_DEADLINE_KINDS];
  void (*on_expired)(void *user, struct mw_deadline *deadline);
  void *user;
};

/**
 * Prepares them. `on_expired` is called once for each deadline that has passed,
 * which is off then; it may set and clear any, and close them.
 */
void mw_deadlines_init(struct mw_deadlines *deadlines, uv_loop_t *loop,
                       void (*on_expired)(void *user,
                                          struct mw_deadline *deadline),
                       void *user);

/** Prepares a deadline that is not set. */
void mw_deadline_init(struct mw_deadline *deadline);

/** Sets or moves a deadline: `ms` after `start`, a time of uv_now(). */
void mw_deadline_set(struct mw_deadlines *deadlines,
                     struct mw_deadline *deadline, int kind, uint64_t start,
                     uint64_t ms);

/** Takes a deadline back; harmless where it is not set. */
void mw_deadline_clear(struct mw_deadline *deadline);

#endif
