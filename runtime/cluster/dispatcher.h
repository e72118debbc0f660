/*
 * A dispatcher accepts at one listening socket and passes each connection to
 * the worker that its policy picks; what a worker refuses, or has not taken
 * when it dies, it passes to another. As long as nobody can take more, it
 * accepts nothing: what waits, waits in the kernel. Owns the descriptor and
 * the connections that wait. Lives from mw_dispatcher_open() to on_closed,
 * which comes once, last, after mw_dispatcher_close() only. The loop's thread.
 */
#ifndef MW_CLUSTER_DISPATCHER_H
#define MW_CLUSTER_DISPATCHER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "cluster/outlet.h"

struct mw_policy;

/* A worker that serves what is accepted here. */
struct mw_member {
  struct mw_link of_dispatcher, of_outlet;
  struct mw_dispatcher *dispatcher;
  struct mw_outlet *outlet;
  unsigned slot;    /* the worker's place, which a replacement inherits */
  uint64_t turns;   /* how many connections it has had, for the policy */
  uint64_t refused; /* when it did not take one, in ms of the loop; 0: takes */
};

struct mw_dispatcher_events {
  /* mw_policy_custom: the member to pick, or NULL. It may close the dispatcher.
   */
  struct mw_member *(*on_pick)(void *user,
                               const struct mw_connection *connection);
  void (*on_closed)(void *user);
};

/**
 * Takes over a descriptor that listens and does not block, unless this fails.
 * `key` names the server to the workers.
 */
int mw_dispatcher_open(uv_loop_t *loop, int fd, uint32_t key,
                       const struct mw_policy *policy,
                       const struct mw_dispatcher_events *events, void *user,
                       struct mw_dispatcher **dispatcher);

/** Accepts nothing for now, or again; what it has it still passes on. */
void mw_dispatcher_set_paused(struct mw_dispatcher *dispatcher, bool paused);

/** How many connections it has, and no worker. */
size_t mw_dispatcher_waiting(const struct mw_dispatcher *dispatcher);

/** A worker serves it from now on. Harmless where it does already. */
int mw_dispatcher_add(struct mw_dispatcher *dispatcher,
                      struct mw_outlet *outlet, unsigned slot);

/** It does so no more; what it has been passed, it still answers for. */
void mw_dispatcher_remove(struct mw_dispatcher *dispatcher,
                          struct mw_outlet *outlet);

/**
 * Accepts no more; what waits is closed. on_closed follows when no worker has a
 * connection to answer for.
 */
void mw_dispatcher_close(struct mw_dispatcher *dispatcher);

/* For policies */

/** The list of members, in the order in which they came. */
struct mw_link *mw_dispatcher_members(struct mw_dispatcher *dispatcher);

/** The member that is this worker; NULL where it is none. */
struct mw_member *mw_dispatcher_member(struct mw_dispatcher *dispatcher,
                                       const struct mw_outlet *outlet);

/** Whether the member may be given the connection at all. */
bool mw_member_may(const struct mw_member *member,
                   const struct mw_connection *connection);

/** Asks on_pick. */
struct mw_member *mw_dispatcher_ask(struct mw_dispatcher *dispatcher,
                                    const struct mw_connection *connection);

/* For outlets */

uint32_t mw_dispatcher_key(const struct mw_dispatcher *dispatcher);

/** What a worker says of a connection that it was passed. */
void mw_dispatcher_note_verdict(struct mw_dispatcher *dispatcher,
                                const struct mw_outlet *outlet,
                                struct mw_connection *connection, bool taken);

/** A connection that was passed comes back. */
void mw_dispatcher_take_back(struct mw_dispatcher *dispatcher,
                             struct mw_connection *connection);

/** A worker has it: our copy is closed. */
void mw_dispatcher_let_go(struct mw_dispatcher *dispatcher,
                          struct mw_connection *connection);

/** Somebody can take more, perhaps: soon, once what this turn of the loop has
 * brought is known, what waits is passed on. */
void mw_dispatcher_go_on(struct mw_dispatcher *dispatcher);

#endif
