/*
 * Policies: who gets the next connection. Each is a constant in a file of its
 * own, without a header. Called by the dispatcher, on the loop's thread; owns
 * nothing.
 */
#ifndef MW_CLUSTER_POLICY_H
#define MW_CLUSTER_POLICY_H

#include "cluster/dispatcher.h"

/* Who accepts. */
enum mw_accepting {
  MW_MASTER_ACCEPTS,       /* and passes each connection on */
  MW_WORKERS_SHARE,        /* one listening socket */
  MW_WORKERS_HAVE_ONE_EACH /* which the kernel spreads over: SO_REUSEPORT */
};

struct mw_policy {
  const char *name;
  enum mw_accepting accepting;
  /* The member that is to have the connection, out of those that mw_member_may
     allows; NULL where it has to wait. Where workers accept by themselves, for
     what a worker has left behind. */
  struct mw_member *(*pick)(struct mw_dispatcher *dispatcher,
                            struct mw_connection *connection);
};

extern const struct mw_policy mw_policy_round_robin;
extern const struct mw_policy mw_policy_none;
extern const struct mw_policy mw_policy_least;
extern const struct mw_policy mw_policy_reuseport;
extern const struct mw_policy mw_policy_sticky;
extern const struct mw_policy mw_policy_custom;

/** The policy of that name; NULL for none. */
const struct mw_policy *mw_policy_named(const char *name);

/** In turn, as equally as is possible: what others fall back to. */
struct mw_member *mw_pick_in_turn(struct mw_dispatcher *dispatcher,
                                  struct mw_connection *connection);

#endif
