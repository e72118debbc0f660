/*
 * The master's end of the way on which one worker gets its connections. Owns
 * its descriptor, and a copy of each connection until the worker has said that
 * it takes it; what it does not take, or has not spoken of when it ends, goes
 * back to the dispatcher that it came from. Lives from mw_outlet_open() to
 * on_closed, which comes once, last, after mw_outlet_close() only. The loop's
 * thread.
 */
#ifndef MW_CLUSTER_OUTLET_H
#define MW_CLUSTER_OUTLET_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"

struct mw_dispatcher;

/* A connection that was accepted, until a worker has it. */
struct mw_connection {
  struct mw_link link;
  struct mw_dispatcher *dispatcher;
  int fd;
  enum {
    MW_NEW,      /* those who have refused others are not asked */
    MW_BEYOND,   /* all of them have: the next is to say so to the client */
    MW_MUST_WAIT /* who can't do that, has had it */
  } stage;
  bool left_to_turns; /* mw_policy_custom: the program has named nobody */
  uint64_t passed;    /* when it was passed on, in ms of the loop */
};

struct mw_outlet_events {
  /* The worker has closed its end, or died; what it had not taken is back. */
  void (*on_end)(void *user);
  void (*on_closed)(void *user);
};

struct mw_outlet;

/** Takes over `fd`, unless this fails. It is active from the start. */
int mw_outlet_open(uv_loop_t *loop, int fd,
                   const struct mw_outlet_events *events, void *user,
                   struct mw_outlet **outlet);

/** Whether the worker is to be given connections. */
void mw_outlet_set_active(struct mw_outlet *outlet, bool active);
bool mw_outlet_is_active(const struct mw_outlet *outlet);

/** Connections that it has been passed and not spoken of. */
size_t mw_outlet_pending(const struct mw_outlet *outlet);

/** Those, and what the worker has open, where it tells. */
size_t mw_outlet_load(const struct mw_outlet *outlet);

/** Whether it has not answered for so long that others should be asked. */
bool mw_outlet_is_stalled(const struct mw_outlet *outlet);

/** Whether it has as many to answer for as it usually answers at once. */
bool mw_outlet_is_busy(const struct mw_outlet *outlet);

/** Whether it has so many that no more are to be passed, whatever the policy.
 */
bool mw_outlet_is_full(const struct mw_outlet *outlet);

/** Queues a connection, the outlet's from then on, for mw_outlet_flush(). */
void mw_outlet_put(struct mw_outlet *outlet, struct mw_connection *connection);

/** Takes the answers that are there. */
void mw_outlet_collect(struct mw_outlet *outlet);

/** From now on its answers wake us, until there is none to come. */
void mw_outlet_hurry(struct mw_outlet *outlet);

/** Sends what is queued. */
void mw_outlet_flush(struct mw_outlet *outlet);

/** The descriptor, for who hands the way on to another image of the master; no
 * connection may be pending. */
int mw_outlet_fd(const struct mw_outlet *outlet);

/** What was given at mw_outlet_open(). */
void *mw_outlet_user(const struct mw_outlet *outlet);

/** The memberships of this worker, in dispatcher.h. */
struct mw_link *mw_outlet_members(struct mw_outlet *outlet);

/** Ends it: what was not taken goes back. on_closed follows. */
void mw_outlet_close(struct mw_outlet *outlet);

#endif
